package triggers

import "github.com/go-json-experiment/json/jsontext"

// member is one member of an event as a backend sends it.
type member uint8

// The members, those with text first: their values are copied into one string.
const (
	memberURI member = iota
	memberEventID
	memberSource
	memberOperation
	memberID
	memberUsername
	memberUserID
	memberOwnerID
	memberServiceName
	memberFolderName
	memberChangesURL
	memberJobID
	memberTaskName
	memberStatusURL
	memberStatus
	memberWhen
	memberAudience
	memberProperties
	memberLayerID
	memberServerGens
	memberData
	memberExtensions
	memberCount

	textMembers = memberWhen
)

// anyKind stands for every kind of JSON value.
const anyKind jsontext.Kind = 0

// members tells of each member its name, the kind of its value, the most characters of its text (0: the event's bound will do) and
// whose events alone may have it (0: everyone's).
var members = [memberCount]struct {
	name string
	kind jsontext.Kind
	most int
	of   scope
}{
	memberURI:         {name: "uri", kind: '"'},
	memberEventID:     {name: "eventId", kind: '"', most: MaxEventIDCharacters},
	memberSource:      {name: "source", kind: '"', most: MaxNameCharacters},
	memberOperation:   {name: "operation", kind: '"'},
	memberID:          {name: "id", kind: '"'},
	memberUsername:    {name: "username", kind: '"', most: MaxNameCharacters},
	memberUserID:      {name: "userId", kind: '"', most: MaxNameCharacters},
	memberOwnerID:     {name: "ownerId", kind: '"', most: MaxNameCharacters},
	memberServiceName: {name: "serviceName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberFolderName:  {name: "folderName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberChangesURL:  {name: "changesUrl", kind: '"', of: ofServices},
	memberJobID:       {name: "jobId", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberTaskName:    {name: "taskName", kind: '"', most: MaxNameCharacters, of: ofServices},
	memberStatusURL:   {name: "statusURL", kind: '"', of: ofServices},
	memberStatus:      {name: "status", kind: '"', of: ofServices},
	memberWhen:        {name: "when", kind: '0'},
	memberAudience:    {name: "audience", kind: '['},
	memberProperties:  {name: "properties", kind: '{', of: notOfCloud},
	memberLayerID:     {name: "layerId", kind: '0', of: ofServices},
	memberServerGens:  {name: "serverGens", kind: '[', of: ofServices},
	memberData:        {name: "data", kind: anyKind, of: ofCloud},
	memberExtensions:  {name: "extensions", kind: '{', of: ofCloud},
}

// scope says which events may have a member.
type scope uint8

const (
	_ scope = iota // every event
	ofServices
	ofCloud
	notOfCloud
)

func (s scope) admits(r Resource) bool {
	switch s {
	case ofServices:
		return r == FeatureServices || r == Geoprocessing
	case ofCloud:
		return r == CloudTypes
	case notOfCloud:
		return r != CloudTypes
	}
	return true
}

func (s scope) String() string {
	return [...]string{"every event", "events of services", "events with a cloud type", "events without a cloud type"}[s]
}

// memberNamed finds a member by the text between the quotes of its name.
func memberNamed(name []byte) (member, bool) {
	switch string(name) {
	case "uri":
		return memberURI, true
	case "username":
		return memberUsername, true
	case "userId":
		return memberUserID, true
	case "when":
		return memberWhen, true
	case "properties":
		return memberProperties, true
	case "eventId":
		return memberEventID, true
	}
	for m := range memberCount {
		if string(name) == members[m].name {
			return m, true
		}
	}
	return 0, false
}

var memberNames = func() (names []string) {
	for _, m := range members {
		names = append(names, m.name)
	}
	return names
}()
