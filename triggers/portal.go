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

// Setting is one of the settings that a portal or its server has: its name in their REST API, and its range.
type Setting[S any] struct {
	Name        string
	Least, Most int
	Of          func(s *S) *int
}

// The settings that both have.
const (
	attemptsSetting = "notificationAttempts"
	timeoutSetting  = "notificationTimeOutInSeconds"
	pauseSetting    = "notificationElapsedTimeInSeconds"
	maxAttempts     = 5
	maxPause        = 100 // seconds
)

// AllPortalSettings are all settings, in the order in which a portal prints them. The range of the last is documented nowhere: a day is
// surely enough.
var AllPortalSettings = []Setting[PortalSettings]{
	{attemptsSetting, 0, maxAttempts, func(s *PortalSettings) *int { return &s.Attempts }},
	{timeoutSetting, 0, MaxTimeoutSeconds, func(s *PortalSettings) *int { return &s.TimeoutSeconds }},
	{pauseSetting, 1, maxPause, func(s *PortalSettings) *int { return &s.PauseSeconds }},
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
func (s PortalSettings) Validate() error { return validateSettings(s, AllPortalSettings) }

func validateSettings[S any](s S, all []Setting[S]) error {
	for _, setting := range all {
		if n := *setting.Of(&s); n < setting.Least || n > setting.Most {
			return Invalid(CodeOutOfRange, setting.Name, "%s is from %d to %d, not %d", setting.Name, setting.Least, setting.Most, n)
		}
	}
	return nil
}

// ServiceSettings are what a portal's server says of the notifications of all webhooks of services, and of switching those off that fail.
// The zero value stands for DefaultServiceSettings.
type ServiceSettings struct {
	Attempts       int // to deliver one payload
	TimeoutSeconds int // that the receiver has for its answer
	PauseSeconds   int // between two attempts
	DeactivationPolicy
}

// DefaultServiceSettings are those of a server that nobody has changed.
var DefaultServiceSettings = ServiceSettings{
	Attempts: 3, TimeoutSeconds: 10, PauseSeconds: 5, DeactivationPolicy: DeactivationPolicy{NumberOfFailures: 5, DaysInPast: 5},
}

// AllServiceSettings are all settings, in the order in which they are printed. Only the range of attempts is documented; the others are those
// of a portal, and of a webhook's own policy.
var AllServiceSettings = []Setting[ServiceSettings]{
	{attemptsSetting, 1, maxAttempts, func(s *ServiceSettings) *int { return &s.Attempts }},
	{timeoutSetting, 1, MaxTimeoutSeconds, func(s *ServiceSettings) *int { return &s.TimeoutSeconds }},
	{pauseSetting, 1, maxPause, func(s *ServiceSettings) *int { return &s.PauseSeconds }},
	{"numberOfFailures", 1, MaxFailures, func(s *ServiceSettings) *int { return &s.NumberOfFailures }},
	{"daysInPast", 1, MaxFailureDays, func(s *ServiceSettings) *int { return &s.DaysInPast }},
}

// OrDefault gives the settings as they are in force.
func (s ServiceSettings) OrDefault() ServiceSettings {
	if s == (ServiceSettings{}) {
		return DefaultServiceSettings
	}
	return s
}

// Validate checks the range of each setting. The error is a *FieldError with the name that the server's REST API has for the setting.
func (s ServiceSettings) Validate() error { return validateSettings(s, AllServiceSettings) }

// SettingsFor are those by which attempts for a webhook go whose retry is the portal's: those of services when it is about one, else those
// of the organisation's webhooks.
func (t *Tenant) SettingsFor(w *Webhook) PortalSettings {
	if _, ok := w.Service(); !ok {
		return t.Settings.OrDefault()
	}
	s := t.ServiceSettings.OrDefault()
	return PortalSettings{Attempts: s.Attempts, TimeoutSeconds: s.TimeoutSeconds, PauseSeconds: s.PauseSeconds}
}

// PolicyFor is the rule by which a webhook is switched off: its own; of one that is about a service, and whose retry is the portal's, that of
// the settings of services; nil is the standard rule.
func (t *Tenant) PolicyFor(w *Webhook) *DeactivationPolicy {
	if w.Deactivation != nil || w.Retry.Profile != RetryPortal {
		return w.Deactivation
	}
	if _, ok := w.Service(); !ok {
		return nil
	}
	policy := t.ServiceSettings.OrDefault().DeactivationPolicy
	return &policy
}
