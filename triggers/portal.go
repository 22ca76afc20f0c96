package triggers

// PortalSettings are what a portal says of the notifications of all its organisation webhooks. The zero value stands for
// DefaultPortalSettings; whatever was set has a pause.
type PortalSettings struct {
	Attempts       int // to deliver one payload; 0 means one
	TimeoutSeconds int // that the receiver has for its answer; 0 means the default
	PauseSeconds   int // between two attempts
	// MetricMinutes is the interval at which a portal gathers figures of its feature services. It is kept for clients that read and write
	// all settings together, and changes nothing here.
	MetricMinutes int
}

// DefaultPortalSettings are those of a portal that nobody has changed.
var DefaultPortalSettings = PortalSettings{Attempts: 3, TimeoutSeconds: 10, PauseSeconds: 5, MetricMinutes: 10}

// PortalSetting is one of the settings: its name in the portal's REST API, and its range.
type PortalSetting struct {
	Name        string
	Least, Most int
	Of          func(s *PortalSettings) *int
}

// AllPortalSettings are all settings, in the order in which a portal prints them. The range of the last is documented nowhere: a day is
// surely enough.
var AllPortalSettings = []PortalSetting{
	{"notificationAttempts", 0, 5, func(s *PortalSettings) *int { return &s.Attempts }},
	{"notificationTimeOutInSeconds", 0, MaxTimeoutSeconds, func(s *PortalSettings) *int { return &s.TimeoutSeconds }},
	{"notificationElapsedTimeInSeconds", 1, 100, func(s *PortalSettings) *int { return &s.PauseSeconds }},
	{"featureServerMetricIntervalInMinutes", 1, 24 * 60, func(s *PortalSettings) *int { return &s.MetricMinutes }},
}

// OrDefault gives the settings as they are in force.
func (s PortalSettings) OrDefault() PortalSettings {
	if s == (PortalSettings{}) {
		return DefaultPortalSettings
	}
	return s
}

// Validate checks the range of each setting. The error is a *FieldError with the name that the portal's REST API has for the setting.
func (s PortalSettings) Validate() error {
	for _, setting := range AllPortalSettings {
		if n := *setting.Of(&s); n < setting.Least || n > setting.Most {
			return Invalid(CodeOutOfRange, setting.Name, "%s is from %d to %d, not %d", setting.Name, setting.Least, setting.Most, n)
		}
	}
	return nil
}
