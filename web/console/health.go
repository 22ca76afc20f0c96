package console

// health is how a webhook is doing on the way to being switched off, as the API tells it, and how its receiver is probed after.
type health struct {
	Rule     string   `json:"rule"` // policy or standard
	Percent  int      `json:"percent"`
	Failures int      `json:"failures"`
	Limit    int      `json:"limit"`
	Days     int      `json:"days"`
	Since    moment   `json:"since"`
	Probe    *probing `json:"probe"`
}

// probing is how a receiver is tried out while its webhook is off.
type probing struct {
	Tries   int    `json:"tries"`
	LastAt  moment `json:"lastAt"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	NextAt  moment `json:"nextAt"`
}

// Kind is the badge of how far the webhook is on the way.
func (h *health) Kind() string {
	const late = 70
	if h.Percent >= late {
		return "bad"
	}
	return "warn"
}

// Ailing reports whether the webhook is on and on the way to being switched off.
func (w *webhook) Ailing() bool { return w.Enabled && w.Health != nil && !w.Health.Since.IsZero() }

// probedReasons are the codes of reasons after which the server probes a receiver.
var probedReasons = map[string]bool{"FAILURES": true, "FAILING": true, "CRC": true}

// Probed reports whether the server tries to switch the webhook on again by itself.
func (w *webhook) Probed() bool { return w.Probe && probedReasons[w.DisabledReasonCode] }

// CouldBe reports whether the server would try to switch the webhook on again if it were told to.
func (w *webhook) CouldBe() bool { return !w.Probe && probedReasons[w.DisabledReasonCode] }
