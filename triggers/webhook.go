package triggers

import "time"

// Webhook is one subscription of a receiver to triggers, as stored. A Webhook that has been given to the table in force is never
// changed again: an update is a new value.
type Webhook struct {
	// Key is the store's number of the webhook: small, never reused, never shown.
	Key    uint32
	ID     WebhookID
	Tenant uint32
	// Revision numbers the settings that payloads and history need (name, triggers, URL, headers, format); it changes with them.
	Revision int64

	Name        string // 1 to 512 characters
	Description string // at most 1024
	URL         string // at most 2048
	Triggers    []Trigger
	Enabled     bool
	// DisabledReason and DisabledReasonCode say why the server itself switched the webhook off, DisabledAt since when; empty when
	// it is on or was switched off by hand.
	DisabledReason     string
	DisabledReasonCode string
	DisabledAt         time.Time
	// EnabledReason says why the server itself switched it on again, EnabledAt when; empty when somebody did, or it is off.
	EnabledReason string
	EnabledAt     time.Time

	Level   Level
	OwnerID string // of user level: whose events it hears
	// Filter is the filter as it was written, Conditions the same, read. SetFilter sets both.
	Filter     string
	Conditions Filter

	Headers          []Header // sent as they are
	EncryptedHeaders []Header // sent as they are, shown by name only
	Secret           Secret   // signs; none means unsigned
	OldSecrets       []OldSecret
	// PlainSecretHeader also sends the secret itself in the header `secret`, as portals before 11.2 did; the secret must then be one that
	// a header can hold.
	PlainSecretHeader bool

	Format         Format
	Retry          Retry
	Deactivation   *DeactivationPolicy // nil: the standard rule
	Ordered        bool                // of each thing one delivery at a time
	TimeoutSeconds int                 // 0: the server's default
	RateLimit      int                 // attempts a minute; 0: none

	// ContentType is how bodies are sent: ContentTypeJSON, which an empty one counts as, or ContentTypeForm.
	ContentType   string
	PrettyPayload bool      // the JSON of bodies is indented: pjson
	Schedule      *Schedule // nil: each event is sent at once
	// CRCCheck has the receiver prove, when the webhook is switched on and every hour after that, that it has the secret.
	CRCCheck bool
	// Probe has the server ask the receiver, while the webhook is off because it failed, and switch it on when it answers well.
	Probe bool

	CheckCertificateRevocation bool
	EnableCloudEventDelivery   bool
	Origin                     string // api, automations, management-console

	CreatedAt, UpdatedAt time.Time
	CreatedBy, UpdatedBy string // user ids
}

// SetFilter reads a filter and makes it the webhook's. The error is a *FieldError on the field filter, and nothing has changed.
func (w *Webhook) SetFilter(text string) error {
	conditions, err := ParseFilter(text)
	if err != nil {
		return within("filter", err)
	}
	w.Filter, w.Conditions = conditions.String(), conditions
	return nil
}

// Header is one custom header of a webhook.
type Header struct {
	Name  string
	Value Secret
}

// OldSecret is a rotated secret that still signs until its date.
type OldSecret struct {
	Secret Secret
	Until  time.Time
}

// Level says whose events a webhook hears.
type Level string

// The levels, spelt as the JSON API spells them.
const (
	TenantLevel Level = "tenant"
	UserLevel   Level = "user"
)

// Format names the payload's form.
type Format string

// The formats, spelt as the JSON API spells them. Auto chooses by the event.
const (
	FormatAuto        Format = "auto"
	FormatPortal      Format = "portal"
	FormatLegacy      Format = "legacy"
	FormatHybrid      Format = "hybrid"
	FormatCloudEvents Format = "cloudevents"
)

// The content types of bodies: the JSON itself, or a form whose one field payload holds it.
const (
	ContentTypeJSON = "application/json"
	ContentTypeForm = "application/x-www-form-urlencoded"
)

// DeactivationPolicy switches a webhook off after NumberOfFailures exhausted deliveries in the last DaysInPast times 24 hours.
type DeactivationPolicy struct {
	NumberOfFailures int
	DaysInPast       int
}

// RetryProfile names a retry schedule.
type RetryProfile string

// The retry profiles, spelt as the JSON API spells them. A webhook's own list of waits has the profile RetryList.
const (
	RetryStandard RetryProfile = "standard"
	RetryPortal   RetryProfile = "portal"
	RetryOnce     RetryProfile = "once"
	RetryList     RetryProfile = "list"
)

// Retry is a webhook's retry schedule.
type Retry struct {
	Profile RetryProfile
	Waits   []time.Duration // of RetryList: the wait before each attempt, the first included
}

// Tenant is a portal.
type Tenant struct {
	Key       uint32
	Name      string // unique: default
	PortalID  string // 0123456789ABCDEF for default
	PortalURL string // always ends in /
	ServerURL string // for changesUrl; may be empty
	// SingularSource has payloads say `item` where they say `items` otherwise, and likewise of the other resources, as portals of 2019 did.
	SingularSource  bool
	Settings        PortalSettings  // of its organisation webhooks
	ServiceSettings ServiceSettings // of the webhooks of its services
	CreatedAt       time.Time
}

// Role says what a key may do in its tenant.
type Role string

// The roles.
const (
	RoleAdmin   Role = "admin"
	RoleUser    Role = "user"
	RoleEmitter Role = "emitter"
	RoleViewer  Role = "viewer"
)

// APIKey is an API key as stored: its text is known only to its holder.
type APIKey struct {
	ID       string
	Hash     [32]byte // SHA-256 of the text
	Tenant   uint32
	Name     string
	Role     Role
	Operator bool // may make tenants and back up
	UserID   string
	UserName string
	Expires  time.Time // zero: never
	Revoked  bool
	Created  time.Time
	LastUsed time.Time // zero: never; stored up to a minute late
}
