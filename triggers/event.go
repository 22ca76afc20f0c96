package triggers

// Event is what a portal backend told us, parsed and checked but for the properties its operation needs (payload judges those).
type Event struct {
	URI URI
	// EventID is the sender's own id, at most 128 characters, empty when it gave none. With Source it is the event's identity.
	EventID string
	// Source is the CloudEvents source of an event that came as a CloudEvent or has a cloud type, else empty.
	Source   string
	Username string
	UserID   string
	// When is the time of the event in milliseconds since 1970; HasWhen is false when the sender left it out (then it is
	// the time of acceptance).
	When    int64
	HasWhen bool
	// OwnerID and Audience say who may hear of it at user level; Audience is never sent to receivers.
	OwnerID  string
	Audience []string
	// Properties is the sender's JSON object, compact, fewest escapes, numbers and key order as they came; nil when there was none.
	Properties []byte
	// Data and Extensions are a cloud event's, compact like Properties: any JSON value the one, an object the other; nil when absent.
	// What the fields above say is not among the extensions.
	Data       []byte
	Extensions []byte
	// Kind is what the catalogue says of a cloud event's type, zero for every other event.
	Kind CloudKind
	// Service is set for service events only.
	Service *ServiceFacts
}

// CloudKind is what payloads need to know of a cloud type.
type CloudKind struct {
	Source    string // the CloudEvents source of events whose sender named none: com.qlik/engine; may be empty
	CloudOnly bool   // never sent in a form with legacy members
	UserLevel bool   // webhooks of user level may hear of it
}

// ServiceFacts is what a service event adds. What the sender left out is empty.
type ServiceFacts struct {
	ServiceName string
	FolderName  string
	LayerID     *int64
	ServerGens  []int64
	ChangesURL  string
	JobID       string
	TaskName    string
	StatusURL   string
	Status      string // succeeded, failed, cancelled
}
