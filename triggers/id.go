package triggers

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"strings"
	"time"
)

// ID is the server's number of an event or of a delivery: 42 bits of milliseconds since 1970, then 21 bits of sequence. IDs sort
// by acceptance and name the day whose tables hold them. The deliveries made together with an event have the numbers that follow
// the event's own, in the order of its matches.
type ID int64

// IDSequenceBits is the width of the sequence within one millisecond.
const IDSequenceBits = 21

// Time is the millisecond the number was drawn in.
func (id ID) Time() time.Time { return time.UnixMilli(int64(id) >> IDSequenceBits) }

const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"
	auditPrefix    = "aud_"
	recoveryPrefix = "rec_"
	idTextLength   = 13
)

var idEncoding = base32.NewEncoding("0123456789abcdefghijklmnopqrstuv").WithPadding(base32.NoPadding)

func (id ID) text(prefix string) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], uint64(id)) //nolint:gosec // 63 bits, never negative
	var out [4 + idTextLength]byte
	copy(out[:], prefix)
	idEncoding.Encode(out[4:], raw[:])
	return string(out[:])
}

// Event is the public form of an event's number: evt_ and 13 characters that sort by time.
func (id ID) Event() string { return id.text(eventPrefix) }

// Delivery is the public form of a delivery's number: dlv_ and 13 characters that sort by time. It is the webhook-id header.
func (id ID) Delivery() string { return id.text(deliveryPrefix) }

// Audit is the public form of the number of a row of the audit: aud_ and 13 characters that sort by time.
func (id ID) Audit() string { return id.text(auditPrefix) }

// Recovery is the public form of a recovery's number: rec_ and 13 characters that sort by time.
func (id ID) Recovery() string { return id.text(recoveryPrefix) }

// ParseRecoveryID reads the public form of a recovery's number; false for anything else.
func ParseRecoveryID(text string) (ID, bool) { return parseID(text, recoveryPrefix) }

// ParseAuditID reads the public form of an audit row's number; false for anything else.
func ParseAuditID(text string) (ID, bool) { return parseID(text, auditPrefix) }

// ParseEventID reads the public form of an event's number; false for anything else.
func ParseEventID(text string) (ID, bool) { return parseID(text, eventPrefix) }

// ParseDeliveryID reads the public form of a delivery's number; false for anything else.
func ParseDeliveryID(text string) (ID, bool) { return parseID(text, deliveryPrefix) }

func parseID(text, prefix string) (ID, bool) {
	digits, ok := strings.CutPrefix(text, prefix)
	if !ok || len(digits) != idTextLength {
		return 0, false
	}
	var raw [8]byte
	if n, err := idEncoding.Decode(raw[:], []byte(digits)); err != nil || n != len(raw) {
		return 0, false
	}
	id := ID(binary.BigEndian.Uint64(raw[:])) //nolint:gosec // checked on the next line
	// The last of 13 digits holds 4 bits and a zero: one number has one spelling.
	if id <= 0 || id.text(prefix) != text {
		return 0, false
	}
	return id, true
}

// WebhookID is a webhook's public id, 128 bits. The zero value is no webhook.
type WebhookID [16]byte

// String is 32 lower-case hex digits, as /api, the organisation surface and payloads print it.
func (w WebhookID) String() string { return hex.EncodeToString(w[:]) }

// LogValue is the id as it is printed everywhere else; as JSON the bytes would be sixteen numbers.
func (w WebhookID) LogValue() slog.Value { return slog.StringValue(w.String()) }

// Dashed is the UUID spelling that the service surface prints.
func (w WebhookID) Dashed() string {
	s := w.String()
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// ParseWebhookID reads either spelling, in either case; false for anything else.
func ParseWebhookID(text string) (WebhookID, bool) {
	var id WebhookID
	if len(text) == 36 && text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-' {
		text = text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:]
	}
	if len(text) != 32 {
		return id, false
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return WebhookID{}, false
	}
	return id, true
}
