package payload

import (
	"encoding/hex"

	"github.com/go-json-experiment/json/jsontext"

	"portalhook/triggers"
)

// appendQuoted appends text as a JSON string with the fewest escapes. Text that is not UTF-8 cannot reach this place by way of the
// parsers; were it to, each stray byte would become U+FFFD.
func appendQuoted(dst []byte, text string) []byte {
	dst, _ = jsontext.AppendQuote(dst, text)
	return dst
}

// appendHex appends a webhook's id as payloads print it, without a string in between.
func appendHex(dst []byte, id triggers.WebhookID) []byte { return hex.AppendEncode(dst, id[:]) }
