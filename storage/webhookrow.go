package storage

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"portalhook/triggers"
)

// webhookColumns are those of webhookRow, in order.
const webhookColumns = `key, id, tenant, revision, name, url, enabled, level, owner_id, origin, created_by, updated_by,
  created_ms, updated_ms, triggers, settings, secrets`

const webhookColumnCount = 17

// webhookRow is a row of the table webhook.
type webhookRow struct {
	key                 uint32
	id                  []byte
	tenant              uint32
	revision            int64
	name, url           string
	enabled             bool
	level               string
	owner, origin       string
	createdBy           string
	updatedBy           string
	created, updated    int64
	triggers, settings  []byte
	secrets             []byte
	nameFolded, urlFold string // written only
}

// scan is what a row of webhookColumns is read into.
func (r *webhookRow) scan() []any {
	return []any{
		&r.key, &r.id, &r.tenant, &r.revision, &r.name, &r.url, &r.enabled, &r.level, &r.owner, &r.origin, &r.createdBy, &r.updatedBy,
		&r.created, &r.updated, &r.triggers, &r.settings, &r.secrets,
	}
}

// rowOfValues is a row of webhookColumns as the driver gives it.
func rowOfValues(v []driver.Value) *webhookRow {
	return &webhookRow{
		key: uint32(integer(v[0])), id: bytesOf(v[1]), tenant: uint32(integer(v[2])), revision: integer(v[3]), //nolint:gosec // written from such types
		name: textOf(v[4]), url: textOf(v[5]), enabled: integer(v[6]) != 0, level: textOf(v[7]), owner: textOf(v[8]), origin: textOf(v[9]),
		createdBy: textOf(v[10]), updatedBy: textOf(v[11]), created: integer(v[12]), updated: integer(v[13]),
		triggers: []byte(textOf(v[14])), settings: []byte(textOf(v[15])), secrets: nonEmpty(textOf(v[16])),
	}
}

func nonEmpty(text string) []byte {
	if text == "" {
		return nil
	}
	return []byte(text)
}

// settings is what a webhook holds beside the columns that lists filter and sort by.
type settings struct {
	Description                string          `json:"description,omitzero"`
	DisabledReason             string          `json:"disabledReason,omitzero"`
	DisabledReasonCode         string          `json:"disabledReasonCode,omitzero"`
	DisabledAt                 int64           `json:"disabledAt,omitzero"` // milliseconds since 1970
	Filter                     string          `json:"filter,omitzero"`
	Headers                    [][2]string     `json:"headers,omitempty"`
	PlainSecretHeader          bool            `json:"plainSecretHeader,omitzero"`
	Format                     triggers.Format `json:"format,omitzero"`
	RetryProfile               string          `json:"retryProfile,omitzero"`
	RetryWaits                 []int64         `json:"retryWaits,omitempty"` // milliseconds
	Deactivation               *deactivation   `json:"deactivation,omitzero"`
	Ordered                    bool            `json:"ordered,omitzero"`
	TimeoutSeconds             int             `json:"timeoutSeconds,omitzero"`
	RateLimit                  int             `json:"rateLimit,omitzero"`
	CheckCertificateRevocation bool            `json:"checkCertificateRevocation,omitzero"`
	EnableCloudEventDelivery   bool            `json:"enableCloudEventDelivery,omitzero"`
	ContentType                string          `json:"contentType,omitzero"`
	PrettyPayload              bool            `json:"prettyPayload,omitzero"`
	Schedule                   *schedule       `json:"schedule,omitzero"`
	CRCCheck                   bool            `json:"crcCheck,omitzero"`
	Probe                      bool            `json:"probe,omitzero"`
	EnabledReason              string          `json:"enabledReason,omitzero"`
	EnabledAt                  int64           `json:"enabledAt,omitzero"` // milliseconds since 1970
}

type schedule struct {
	Name      string `json:"name,omitzero"`
	State     string `json:"state"`
	StartAt   int64  `json:"startAt,omitzero"` // milliseconds since 1970
	Frequency string `json:"frequency"`
	Interval  int    `json:"interval"`
}

type deactivation struct {
	NumberOfFailures int `json:"numberOfFailures"`
	DaysInPast       int `json:"daysInPast"`
}

// secrets is what is sealed under the key ring.
type secrets struct {
	Secret  string         `json:"secret,omitzero"`
	Old     []oldSecret    `json:"old,omitempty"`
	Headers []sealedHeader `json:"headers,omitempty"`
}

type oldSecret struct {
	Secret string `json:"secret"`
	Until  int64  `json:"until"` // milliseconds since 1970
}

type sealedHeader struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// The fields of sealPlace; a header's has its name behind it.
const (
	secretField    = "secret"
	oldSecretField = "old secret"
	headerField    = "header "
)

// rowOf makes a row of a webhook; its times are cut to milliseconds first, so that both stay equal.
func (s *base) rowOf(w *triggers.Webhook) (*webhookRow, error) {
	for _, at := range []*time.Time{&w.CreatedAt, &w.UpdatedAt, &w.DisabledAt, &w.EnabledAt} {
		*at = timeOf(unixMilli(*at))
	}
	if w.Schedule != nil {
		cut := *w.Schedule
		cut.StartAt = timeOf(unixMilli(cut.StartAt))
		w.Schedule = &cut
	}
	row := &webhookRow{
		key: w.Key, id: w.ID[:], tenant: w.Tenant, revision: w.Revision, name: w.Name, url: w.URL, enabled: w.Enabled,
		level: string(w.Level), owner: w.OwnerID, origin: w.Origin, createdBy: w.CreatedBy, updatedBy: w.UpdatedBy,
		created: unixMilli(w.CreatedAt), updated: unixMilli(w.UpdatedAt),
		nameFolded: triggers.Fold(w.Name), urlFold: triggers.Fold(w.URL),
	}
	texts := make([]string, len(w.Triggers))
	for i := range w.Triggers {
		texts[i] = w.Triggers[i].Text
	}
	var err error
	if row.triggers, err = json.Marshal(texts); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	if row.settings, err = json.Marshal(settingsOf(w)); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	if row.secrets, err = s.sealAll(w); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	return row, nil
}

func settingsOf(w *triggers.Webhook) settings {
	set := settings{
		Description: w.Description, DisabledReason: w.DisabledReason, DisabledReasonCode: w.DisabledReasonCode,
		DisabledAt: unixMilli(w.DisabledAt), Filter: w.Filter, PlainSecretHeader: w.PlainSecretHeader, Format: w.Format,
		RetryProfile: string(w.Retry.Profile), Ordered: w.Ordered, TimeoutSeconds: w.TimeoutSeconds, RateLimit: w.RateLimit,
		CheckCertificateRevocation: w.CheckCertificateRevocation, EnableCloudEventDelivery: w.EnableCloudEventDelivery,
		ContentType: w.ContentType, PrettyPayload: w.PrettyPayload, CRCCheck: w.CRCCheck, Probe: w.Probe,
		EnabledReason: w.EnabledReason, EnabledAt: unixMilli(w.EnabledAt),
	}
	if plan := w.Schedule; plan != nil {
		set.Schedule = &schedule{plan.Name, plan.State, unixMilli(plan.StartAt), plan.Frequency, plan.Interval}
	}
	for _, header := range w.Headers {
		set.Headers = append(set.Headers, [2]string{header.Name, header.Value.Reveal()})
	}
	for _, wait := range w.Retry.Waits {
		set.RetryWaits = append(set.RetryWaits, wait.Milliseconds())
	}
	if policy := w.Deactivation; policy != nil {
		set.Deactivation = &deactivation{policy.NumberOfFailures, policy.DaysInPast}
	}
	return set
}

// sealAll is the column secrets of a webhook, nil when it has none.
func (s *base) sealAll(w *triggers.Webhook) ([]byte, error) {
	if w.Secret.IsZero() && len(w.OldSecrets) == 0 && len(w.EncryptedHeaders) == 0 {
		return nil, nil
	}
	at := func(field string) sealPlace { return sealPlace{w.Tenant, w.ID, field} }
	sealed := secrets{Secret: s.ring.seal(w.Secret, at(secretField))}
	for _, old := range w.OldSecrets {
		sealed.Old = append(sealed.Old, oldSecret{s.ring.seal(old.Secret, at(oldSecretField)), unixMilli(old.Until)})
	}
	for _, header := range w.EncryptedHeaders {
		sealed.Headers = append(sealed.Headers, sealedHeader{header.Name, s.ring.seal(header.Value, at(headerField+header.Name))})
	}
	return json.Marshal(sealed)
}

// webhookOf is the webhook of a row. Its errors are ErrSecrets when a secret does not open, and a *triggers.FieldError when a trigger
// is no longer in the catalogue.
func (s *base) webhookOf(row *webhookRow) (*triggers.Webhook, error) {
	w := &triggers.Webhook{
		Key: row.key, Tenant: row.tenant, Revision: row.revision, Name: row.name, URL: row.url, Enabled: row.enabled,
		Level: triggers.Level(row.level), OwnerID: row.owner, Origin: row.origin, CreatedBy: row.createdBy, UpdatedBy: row.updatedBy,
		CreatedAt: timeOf(row.created), UpdatedAt: timeOf(row.updated),
	}
	copy(w.ID[:], row.id)
	var texts []string
	if err := json.Unmarshal(row.triggers, &texts); err != nil {
		return nil, fmt.Errorf("webhook %s: triggers: %w", w.ID, err)
	}
	w.Triggers = make([]triggers.Trigger, len(texts))
	for i, text := range texts {
		var err error
		if w.Triggers[i], err = s.catalog.ParseTrigger(text); err != nil {
			return nil, fmt.Errorf("webhook %s: trigger %s: %w", w.ID, text, err)
		}
	}
	var set settings
	if err := json.Unmarshal(row.settings, &set); err != nil {
		return nil, fmt.Errorf("webhook %s: settings: %w", w.ID, err)
	}
	set.apply(w)
	if err := s.openAll(row.secrets, w); err != nil {
		return nil, fmt.Errorf("webhook %s: %w", w.ID, err)
	}
	return w, nil
}

func (set *settings) apply(w *triggers.Webhook) {
	w.Description, w.Format = set.Description, set.Format
	w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = set.DisabledReason, set.DisabledReasonCode, timeOf(set.DisabledAt)
	w.PlainSecretHeader, w.Ordered, w.TimeoutSeconds, w.RateLimit = set.PlainSecretHeader, set.Ordered, set.TimeoutSeconds, set.RateLimit
	w.CheckCertificateRevocation, w.EnableCloudEventDelivery = set.CheckCertificateRevocation, set.EnableCloudEventDelivery
	w.EnabledReason, w.EnabledAt, w.Probe = set.EnabledReason, timeOf(set.EnabledAt), set.Probe
	w.ContentType, w.PrettyPayload, w.CRCCheck = set.ContentType, set.PrettyPayload, set.CRCCheck
	if plan := set.Schedule; plan != nil {
		w.Schedule = &triggers.Schedule{
			Name: plan.Name, State: plan.State, StartAt: timeOf(plan.StartAt), Frequency: plan.Frequency, Interval: plan.Interval,
		}
	}
	w.Retry.Profile = triggers.RetryProfile(set.RetryProfile)
	for _, wait := range set.RetryWaits {
		w.Retry.Waits = append(w.Retry.Waits, time.Duration(wait)*time.Millisecond)
	}
	for _, header := range set.Headers {
		w.Headers = append(w.Headers, triggers.Header{Name: header[0], Value: triggers.NewSecret(header[1])})
	}
	if policy := set.Deactivation; policy != nil {
		w.Deactivation = &triggers.DeactivationPolicy{NumberOfFailures: policy.NumberOfFailures, DaysInPast: policy.DaysInPast}
	}
	set.applyFilter(w)
}

// Why a webhook is off whose filter is not understood any more.
const (
	filterCode   = "FILTER"
	filterReason = "its filter can no longer be read: "
)

// applyFilter reads the filter. One that was valid when it was saved and is not any more must not keep the server from starting, nor let
// through what it was to hold back: the webhook is off until somebody mends it.
func (set *settings) applyFilter(w *triggers.Webhook) {
	err := w.SetFilter(set.Filter)
	if err == nil {
		return
	}
	w.Filter = set.Filter
	if w.Enabled {
		w.Enabled, w.DisabledReason, w.DisabledReasonCode, w.DisabledAt = false, filterReason+err.Error(), filterCode, w.UpdatedAt
	}
}

func (s *base) openAll(column []byte, w *triggers.Webhook) error {
	if column == nil {
		return nil
	}
	var sealed secrets
	if err := json.Unmarshal(column, &sealed); err != nil {
		return fmt.Errorf("secrets: %w", err)
	}
	at := func(field string) sealPlace { return sealPlace{w.Tenant, w.ID, field} }
	var err error
	if w.Secret, err = s.ring.open(sealed.Secret, at(secretField)); err != nil {
		return err
	}
	for _, old := range sealed.Old {
		secret, err := s.ring.open(old.Secret, at(oldSecretField))
		if err != nil {
			return err
		}
		w.OldSecrets = append(w.OldSecrets, triggers.OldSecret{Secret: secret, Until: timeOf(old.Until)})
	}
	for _, header := range sealed.Headers {
		value, err := s.ring.open(header.Value, at(headerField+header.Name))
		if err != nil {
			return err
		}
		w.EncryptedHeaders = append(w.EncryptedHeaders, triggers.Header{Name: header.Name, Value: value})
	}
	return nil
}
