package triggers

import (
	"fmt"
	"strings"
	"unicode"
)

// What sample events are about, and who did it. The ids are those of the documentation.
const (
	sampleItem    = "6cd80cb32d4a4b4d858a020e57fba7b1"
	sampleGroup   = "4adc30bb03054812a846fa592de105de"
	sampleUser    = "u1TestUser"
	sampleRole    = "2dff15c514ad4f04b291e304e24a524b"
	sampleWebhook = "72fed926aeb74c9ca8a22aacddc6725a"
	sampleService = "myService"
	sampleActor   = `"username":"administrator","userId":"173dd04b69134bdf99c5000aad0b6298","when":1543192196521`
)

// samplePathEvent makes an event that the entry's trigger hears; of a trigger for every operation, the one that shows most.
func samplePathEvent(e *Entry, samples map[string]string) ([]byte, error) {
	resource, operation := e.Resource, e.Operation
	ids := map[string]string{
		itemsWord: sampleItem, groupsWord: sampleGroup, usersWord: sampleUser, rolesWord: sampleRole, webhooksWord: sampleWebhook,
	}
	properties := e.Properties
	if operation == "*" {
		broad := map[string]struct{ resource, operation, property string }{
			"portal":     {itemsWord, "share", "sharedToGroups"},
			itemsWord:    {itemsWord, "share", "sharedToGroups"},
			groupsWord:   {groupsWord, "addUsers", "addedUserNames"},
			usersWord:    {usersWord, "updateUserRole", "userRoleUpdatedTo"},
			rolesWord:    {rolesWord, "add", "name"},
			servicesWord: {servicesWord, "FeaturesCreated", ""},
		}[resource]
		resource, operation, properties = broad.resource, broad.operation, nil
		if broad.property != "" {
			properties = []string{broad.property}
		}
	}
	switch {
	case resource == servicesWord && strings.HasSuffix(e.Trigger, gpServer):
		return fmt.Appendf(nil, `{"uri":"/services/%s/%s",%s,"serviceName":"%s","jobId":"jcc1da4c3b5c84f2f8b0b3a7d4f1e9c62",`+
			`"taskName":"BufferPoints","status":"succeeded",`+
			`"statusURL":"https://server.example.com/server/rest/services/%s/GPServer/BufferPoints/jobs/jcc1da4c3b5c84f2f8b0b3a7d4f1e9c62"}`,
			sampleService, gpServer, sampleActor, sampleService, sampleService), nil
	case resource == servicesWord:
		return fmt.Appendf(nil, `{"uri":"/services/%s/%s/%s",%s,"serviceName":"%s","layerId":0,"serverGens":[1730385704442,1730385704443]}`,
			sampleService, featureServer, operation, sampleActor, sampleService), nil
	}
	r, ok := resourceNamed(resource)
	if !ok {
		return nil, fmt.Errorf("unknown resource %q", resource)
	}
	op, ok := operationNamed(r, operation)
	if !ok {
		return nil, fmt.Errorf("unknown operation %q", operation)
	}
	id := ids[resource]
	if IsBulk(r, op) {
		id = ""
	}
	uri, err := NewURI(r, op, "", id)
	if err != nil {
		return nil, err
	}
	var b []byte
	b = fmt.Appendf(b, `{"uri":"%s",%s`, uri, sampleActor)
	for i, name := range properties {
		sample, ok := samples[name]
		if !ok {
			return nil, fmt.Errorf("property %q has no sample", name)
		}
		if i == 0 {
			b = append(b, `,"properties":{`...)
		} else {
			b = append(b, ',')
		}
		b = fmt.Appendf(b, `"%s":%s`, name, sample)
	}
	if len(properties) > 0 {
		b = append(b, '}')
	}
	return append(b, '}'), nil
}

// sampleCloudEvent makes an event of a cloud type; data is a JSON object.
func sampleCloudEvent(name, source, data string) []byte {
	return fmt.Appendf(nil, `{"uri":"%s","source":"%s","when":1615215089000,`+
		`"userId":"vNRGcbCUqXuNfd_q5kyGY0fE0KVYZ3Hc","ownerId":"vNRGcbCUqXuNfd_q5kyGY0fE0KVYZ3Hc","data":%s}`, name, source, data)
}

// MoveTo lets a sample event happen to something that the trigger names, where the trigger names anything: its id, and the folder of
// a service, become one of those that the trigger's path describes. What else the event says of a service is taken out. The error
// is that of NewURI: an id can be too long.
func (ev *Event) MoveTo(t *Trigger) error {
	if len(t.Path) == 0 || IsBulk(ev.URI.Resource, ev.URI.Operation) {
		return nil
	}
	folder, id := "", t.Path[len(t.Path)-1].example()
	if len(t.Path) > 1 {
		folder = t.Path[0].example()
	}
	uri, err := NewURI(ev.URI.Resource, ev.URI.Operation, folder, id)
	if err != nil {
		return err
	}
	ev.URI = uri
	if ev.Service != nil {
		ev.Service.ServiceName, ev.Service.FolderName, ev.Service.ChangesURL, ev.Service.StatusURL = id, folder, "", ""
	}
	return nil
}

// example is a text that the segment describes: where it leaves a choice, the first.
func (s Segment) example() string {
	var b strings.Builder
	for i := range s {
		switch token := &s[i]; token.Kind {
		case Literal:
			b.WriteString(token.Text)
		case AnyRun, AnyOne:
			b.WriteByte('x')
		case Class:
			b.WriteRune(token.example())
		case Alternatives:
			b.WriteString(token.Choices[0].example())
		}
	}
	return b.String()
}

// example is a character of a Class. One that takes none but control characters gives one that it does not take.
func (t *Token) example() rune {
	if !t.Negated {
		return t.Ranges[0].Low
	}
	for c := 'a'; c < unicode.MaxRune; c++ {
		if unicode.IsLetter(c) && !t.takesFolded(c) {
			return c
		}
	}
	return 'x'
}

// takesFolded reports whether any member of c's folding orbit lies in the ranges.
func (t *Token) takesFolded(c rune) bool {
	for r := c; ; {
		for _, in := range t.Ranges {
			if in.Low <= r && r <= in.High {
				return true
			}
		}
		if r = unicode.SimpleFold(r); r == c {
			return false
		}
	}
}
