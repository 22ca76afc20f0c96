package payload

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"time"

	"portalhook/triggers"
)

// The kinds of service, in payloads and in addresses.
const (
	featureServer = "FeatureServer"
	gpServer      = "GPServer"
)

// jobEvents are the eventType of a geoprocessing event by its status: the words that the server itself has for the state of a job.
// The documentation names none.
var jobEvents = map[string]string{
	"succeeded": "esriJobSucceeded",
	"failed":    "esriJobFailed",
	"cancelled": "esriJobCancelled",
}

// serviceOverhead is the length of a service event's object without the sender's texts.
const serviceOverhead = 320

// renderService renders an event of a feature service or of a geoprocessing job: what Enterprise's object is made of, and beside it
// all that the backend told, each member under the name that it has in an event. The folder and the name of the service are those
// of the event's URI where it tells none. The date is exact; Enterprise's form alone rounds it.
func renderService(ev *triggers.Event, acceptedAt time.Time) ([]byte, error) {
	facts := ev.Service
	if facts == nil {
		facts = new(triggers.ServiceFacts)
	}
	kind, eventType := featureServer, triggers.OperationName(ev.URI.Resource, ev.URI.Operation)
	if ev.URI.Resource == triggers.Geoprocessing {
		kind, eventType = gpServer, jobEvents[facts.Status]
	}
	if err := judgeService(ev.URI.Resource, facts); err != nil {
		return nil, err
	}

	dst := make([]byte, 0, serviceOverhead+len(facts.ChangesURL)+len(facts.StatusURL)+len(ev.Properties))
	dst = append(dst, '{')
	dst = appendText(dst, "serviceType", kind)
	dst = appendText(dst, "eventType", eventType)
	dst = appendInteger(dst, "when", whenOf(ev, acceptedAt))
	dst = appendText(dst, "folderName", cmp.Or(facts.FolderName, ev.URI.Folder))
	dst = appendText(dst, "serviceName", cmp.Or(facts.ServiceName, ev.URI.ID))
	if facts.LayerID != nil {
		dst = appendInteger(dst, "layerId", *facts.LayerID)
	}
	if len(facts.ServerGens) > 0 {
		dst = appendName(dst, "serverGens")
		dst = strconv.AppendInt(append(dst, '['), facts.ServerGens[0], 10)
		dst = strconv.AppendInt(append(dst, ','), facts.ServerGens[1], 10)
		dst = append(dst, ']')
	}
	for _, optional := range [...]struct{ name, text string }{
		{"changesUrl", facts.ChangesURL},
		{"jobId", facts.JobID},
		{"taskName", facts.TaskName},
		{"status", facts.Status},
		{"statusURL", facts.StatusURL},
		{"username", ev.Username},
		{"userId", ev.UserID},
	} {
		if optional.text != "" {
			dst = appendText(dst, optional.name, optional.text)
		}
	}
	if len(ev.Properties) > 0 {
		dst = appendMember(dst, "properties", ev.Properties)
	}
	return append(dst, '}'), nil
}

// judgeService judges what the parser lets through. The error is a *triggers.FieldError.
func judgeService(resource triggers.Resource, facts *triggers.ServiceFacts) error {
	gens := facts.ServerGens
	switch {
	case len(gens) != 0 && (len(gens) != 2 || gens[0] > gens[1]):
		return triggers.Invalid(triggers.CodeOutOfRange, "serverGens", "must be two generations, the one before the changes and the one after them")
	case resource != triggers.Geoprocessing:
		return nil
	case facts.JobID == "":
		return triggers.Invalid(triggers.CodeMissing, "jobId", "an event of a geoprocessing service needs jobId, the job that has ended")
	case facts.Status == "":
		return triggers.Invalid(triggers.CodeMissing, "status", "an event of a geoprocessing service needs status: succeeded, failed or cancelled")
	case jobEvents[facts.Status] == "":
		return triggers.Invalid(triggers.CodeOutOfRange, "status", "must be succeeded, failed or cancelled")
	}
	return nil
}

// serviceEvent is what renderService gave, read again.
type serviceEvent struct {
	uri                        *triggers.URI
	members                    []member // all of them, as they stand in the object
	eventType, folder, name    string
	changesURL                 string
	jobID, taskName, statusURL string
	when                       int64 // milliseconds since 1970
	generations                generations
}

func readService(ev *Event) (serviceEvent, error) {
	s := serviceEvent{uri: &ev.URI}
	var err error
	if s.members, err = members(nil, ev.Body); err != nil {
		return s, err
	}
	for _, m := range s.members {
		switch string(m.name) {
		case `"eventType"`:
			s.eventType, err = unquoted(m.value)
		case `"when"`:
			s.when, err = strconv.ParseInt(string(m.value), 10, 64)
		case `"folderName"`:
			s.folder, err = unquoted(m.value)
		case `"serviceName"`:
			s.name, err = unquoted(m.value)
		case `"serverGens"`:
			s.generations, err = readGenerations(m.value)
		case `"changesUrl"`:
			s.changesURL, err = unquoted(m.value)
		case `"jobId"`:
			s.jobID, err = unquoted(m.value)
		case `"taskName"`:
			s.taskName, err = unquoted(m.value)
		case `"statusURL"`:
			s.statusURL, err = unquoted(m.value)
		}
		if err != nil {
			return s, fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return s, nil
}

func readGenerations(value []byte) (generations, error) {
	var room [2][]byte
	pair, err := elements(room[:0], value)
	if err != nil || len(pair) != 2 {
		return generations{}, errors.Join(err, errors.New("not two generations"))
	}
	g := generations{known: true}
	if g.from, err = strconv.ParseInt(string(pair[0]), 10, 64); err != nil {
		return g, err
	}
	g.to, err = strconv.ParseInt(string(pair[1]), 10, 64)
	return g, err
}

// kind is the service's, as payloads and addresses call it.
func (s *serviceEvent) kind() string {
	if s.uri.Resource == triggers.Geoprocessing {
		return gpServer
	}
	return featureServer
}

// appendService appends Enterprise's object about one event of a service, or about several of one feature service.
func appendService(dst []byte, rev *Revision, events []Event) ([]byte, error) {
	var room [1]serviceEvent
	services := room[:0]
	for i := range events {
		s, err := readService(&events[i])
		if err != nil {
			return dst, stored(&events[i], err)
		}
		services = append(services, s)
		if first := services[0].uri; s.uri.Key() != first.Key() || s.uri.FolderKey() != first.FolderKey() {
			return dst, fmt.Errorf("events of %s and %s: %w", first, s.uri, ErrFormat)
		}
	}
	first := &services[0]
	dst = append(dst, '{')
	dst = appendText(dst, "serviceType", first.kind())
	if first.uri.Resource == triggers.Geoprocessing {
		dst = appendText(dst, "jobId", first.jobID)
		dst = appendText(dst, "statusURL", first.jobURL(rev))
		dst = appendText(dst, "name", rev.WebhookName)
		dst = appendText(dst, "taskName", first.taskName)
	} else {
		dst = appendText(dst, "changesUrl", changesURL(rev, services))
		dst = appendText(dst, "name", rev.WebhookName)
		dst = appendText(dst, "id", rev.WebhookID.Dashed())
	}
	dst = appendText(dst, "folderName", first.folder)
	dst = appendText(dst, "serviceName", first.name)
	dst = append(appendName(dst, "events"), '[')
	for i := range services {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		dst = appendText(dst, "eventType", services[i].eventType)
		dst = appendInteger(dst, "when", services[i].when-services[i].when%1000)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...), nil
}

// appendData appends what a CloudEvent says of the event: all that was told, and the address of its changes or of its job.
func (s *serviceEvent) appendData(dst []byte, rev *Revision) []byte {
	address, at := "changesUrl", ""
	if s.uri.Resource == triggers.Geoprocessing {
		address, at = "statusURL", s.jobURL(rev)
	} else {
		at = changesURL(rev, []serviceEvent{*s})
	}
	dst = append(dst, '{')
	dst = appendMember(dst, "serviceType", take(s.members, "serviceType"))
	dst = appendText(dst, address, at)
	take(s.members, address) // said already
	return append(appendOthers(dst, 0, s.members), '}')
}
