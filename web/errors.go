package web

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/labstack/echo/v4"

	"portalhook/delivery"
	"portalhook/triggers"
)

// The codes that are made here; the others are those of a triggers.FieldError. kinds lists both.
const (
	codeInternal          = "INTERNAL"
	codeUnauthorized      = "UNAUTHORIZED"
	codeForbidden         = "FORBIDDEN"
	codeNotFound          = "NOT_FOUND"
	codeMethodNotAllowed  = "METHOD_NOT_ALLOWED"
	codeTooManyDeliveries = "TOO_MANY_DELIVERIES"
	codeTimeout           = "REQUEST_TIMEOUT"
	codeBadBody           = "BAD_BODY"
	codeBadPatch          = "BAD_PATCH"
	codeEventConflict     = "EVENT_CONFLICT"
	codeReadOnly          = "READ_ONLY"
	codeReenter           = "REENTER_HEADERS"
	codeWebhookLimit      = "WEBHOOK_LIMIT"
	codeOwnerLimit        = "OWNER_LIMIT"
	codeUnreachable       = "UNREACHABLE"
	codeChallenge         = "CHALLENGE_FAILED"
	codeOneWay            = "CLOUD_EVENTS_ONE_WAY"
	codeLastAdminKey      = "LAST_ADMIN_KEY"
	codeRecoveryOpen      = "RECOVERY_OPEN"
	codeRecoveryEnded     = "RECOVERY_ENDED"
	codeOverloaded        = "OVERLOADED"
	codeRateLimit         = "HTTP-429" // as Qlik Cloud spells it
	codeTooManyGuesses    = "TOO_MANY_WRONG_KEYS"
	codeOutcomeUnknown    = "OUTCOME_UNKNOWN"
	codeUnavailable       = "UNAVAILABLE"
)

// kind is what all errors of one code have in common.
type kind struct {
	status int
	title  string
}

// kinds are all codes that an answer can carry. docs/errors.md explains each; a test holds the two together.
var kinds = map[string]kind{
	triggers.CodeNotJSON:        {http.StatusBadRequest, "The body is not valid JSON"},
	triggers.CodeDuplicateKey:   {http.StatusBadRequest, "A member is given twice"},
	triggers.CodeUnknownField:   {http.StatusBadRequest, "A member is not known"},
	triggers.CodeRequired:       {http.StatusBadRequest, "A needed member is missing"},
	triggers.CodeWrongType:      {http.StatusBadRequest, "A member has the wrong type"},
	triggers.CodeTooLong:        {http.StatusBadRequest, "A value is too long"},
	triggers.CodeTooMany:        {http.StatusBadRequest, "There are too many of something"},
	triggers.CodeOutOfRange:     {http.StatusBadRequest, "A value is not one of those it can be"},
	triggers.CodeNotAllowed:     {http.StatusBadRequest, "A value is refused"},
	triggers.CodeNotSupported:   {http.StatusBadRequest, "This is not supported yet"},
	triggers.CodeUnknownTrigger: {http.StatusBadRequest, "There is no such trigger"},
	triggers.CodeCannotFire:     {http.StatusBadRequest, "The trigger would never fire"},
	triggers.CodePlaceholder:    {http.StatusBadRequest, "A placeholder was left in"},
	triggers.CodeBadPattern:     {http.StatusBadRequest, "The trigger's pattern is not valid"},
	triggers.CodeBadURI:         {http.StatusBadRequest, "A URI is not valid"},
	triggers.CodeMissingID:      {http.StatusBadRequest, "The event's URI lacks an id"},
	triggers.CodeMissing:        {http.StatusBadRequest, "A property that the operation needs is missing"},
	triggers.CodeFilter:         {http.StatusBadRequest, "The filter is not valid"},
	codeBadBody:                 {http.StatusBadRequest, "The body could not be read"},
	codeBadPatch:                {http.StatusBadRequest, "The patch cannot be applied"},
	codeReenter:                 {http.StatusBadRequest, "Encrypted headers must be entered again"},
	codeUnreachable:             {http.StatusBadRequest, "The receiver could not be reached"},
	codeChallenge:               {http.StatusBadRequest, "The receiver did not prove that it has the secret"},
	codeUnauthorized:            {http.StatusUnauthorized, "A valid API key is needed"},
	codeForbidden:               {http.StatusForbidden, "The key's role may not do this"},
	codeWebhookLimit:            {http.StatusForbidden, "The tenant has as many webhooks as it may have"},
	codeOwnerLimit:              {http.StatusForbidden, "The owner has as many webhooks as he may have"},
	codeOneWay:                  {http.StatusForbidden, "Delivery as CloudEvents cannot be switched off again"},
	codeNotFound:                {http.StatusNotFound, "Not found"},
	codeMethodNotAllowed:        {http.StatusMethodNotAllowed, "The path does not answer this method"},
	codeTimeout:                 {http.StatusRequestTimeout, "The request did not arrive in time"},
	codeEventConflict:           {http.StatusConflict, "The event's identity is taken by another event"},
	codeReadOnly:                {http.StatusConflict, "A read-only member cannot be changed"},
	triggers.CodeExists:         {http.StatusConflict, "Another one has it already"},
	codeLastAdminKey:            {http.StatusConflict, "The tenant would be left without an admin"},
	codeRecoveryOpen:            {http.StatusConflict, "The webhook has a recovery that has not ended"},
	codeRecoveryEnded:           {http.StatusConflict, "The recovery has ended"},
	triggers.CodeTooLarge:       {http.StatusRequestEntityTooLarge, "The request is too large"},
	codeTooManyDeliveries:       {http.StatusRequestEntityTooLarge, "The batch leads to too many deliveries"},
	triggers.CodeMediaType:      {http.StatusUnsupportedMediaType, "The content type is not accepted"},
	codeRateLimit:               {http.StatusTooManyRequests, "API rate limit reached."},
	codeTooManyGuesses:          {http.StatusTooManyRequests, "Too many wrong keys came from this address"},
	codeInternal:                {http.StatusInternalServerError, "Something went wrong on our side"},
	codeOverloaded:              {http.StatusServiceUnavailable, "The server has more work than it can take on"},
	codeOutcomeUnknown:          {http.StatusServiceUnavailable, "Whether the events were stored is unknown"},
	codeUnavailable:             {http.StatusServiceUnavailable, "The server cannot do this now"},
}

// problem is an error that knows what its answer says.
type problem struct {
	Code       string
	Status     int // 0: the code's
	Field      string
	Index      int // in a batch; -1 outside one
	Detail     string
	RetryAfter time.Duration // 0: the header is not sent
	cause      error         // logged, never shown
}

func (p *problem) Error() string {
	if p.Field != "" {
		return p.Field + ": " + p.Detail
	}
	return p.Detail
}

func (p *problem) Unwrap() error { return p.cause }

func (p *problem) status() int {
	if p.Status != 0 {
		return p.Status
	}
	if k, ok := kinds[p.Code]; ok {
		return k.status
	}
	return http.StatusBadRequest
}

func fault(code, detail string) *problem { return &problem{Code: code, Index: -1, Detail: detail} }

// problemOf is the one place that turns an error into what the client is told. Whatever it does not know is our own fault, and
// its text stays in the log.
func problemOf(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if f, ok := errors.AsType[*triggers.FieldError](err); ok {
		return &problem{Code: f.Code, Field: f.Field, Index: f.Index, Detail: f.Detail}
	}
	if conflict, ok := errors.AsType[*delivery.ConflictError](err); ok {
		return &problem{
			Code: codeEventConflict, Field: "eventId", Index: conflict.Index,
			Detail: "an event with this eventId and other content was accepted before; send the same content again, or another eventId",
		}
	}
	if overload, ok := errors.AsType[*delivery.Overload](err); ok {
		return &problem{
			Code: codeOverloaded, Status: overload.Status, Index: -1, RetryAfter: max(overload.RetryAfter, time.Second), cause: err,
			Detail: "nothing was stored; send the same again after the time that Retry-After says",
		}
	}
	if he, ok := errors.AsType[*echo.HTTPError](err); ok {
		switch he.Code {
		case http.StatusNotFound:
			return fault(codeNotFound, "there is nothing at this path")
		case http.StatusMethodNotAllowed:
			return fault(codeMethodNotAllowed, "the header Allow names the methods that this path answers")
		}
	}
	switch {
	case errors.Is(err, triggers.ErrNotFound):
		return fault(codeNotFound, "there is no such thing, or it is not yours")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &problem{Code: codeUnavailable, Index: -1, Detail: "the request ended before its answer was ready", cause: err}
	}
	return &problem{Code: codeInternal, Index: -1, Detail: "the trace id finds the cause in the server's log", cause: err}
}

// appendProblem writes the error body: {"errors":[{"code","title","detail","status"[,"field","index"]}],"traceId"}. The status is there, as a
// text, because @qlik/api prints it from there. That of codeRateLimit has neither status nor traceId, to be the very bytes that clients of
// Qlik Cloud know.
func appendProblem(dst []byte, p *problem, traceID string) []byte {
	title := http.StatusText(p.status())
	if k, ok := kinds[p.Code]; ok {
		title = k.title
	}
	dst = append(dst, `{"errors":[{"code":`...)
	dst = appendText(dst, p.Code)
	dst = append(dst, `,"title":`...)
	dst = appendText(dst, title)
	dst = append(dst, `,"detail":`...)
	dst = appendText(dst, p.Detail)
	if p.Code == codeRateLimit {
		return append(dst, "}]}"...)
	}
	dst = append(dst, `,"status":"`...)
	dst = strconv.AppendInt(dst, int64(p.status()), 10)
	dst = append(dst, '"')
	if p.Field != "" {
		dst = append(dst, `,"field":`...)
		dst = appendText(dst, p.Field)
	}
	if p.Index >= 0 {
		dst = append(dst, `,"index":`...)
		dst = strconv.AppendInt(dst, int64(p.Index), 10)
	}
	dst = append(dst, `}],"traceId":"`...)
	dst = append(dst, traceID...)
	return append(dst, `"}`...)
}

// appendText appends text as a JSON string with the fewest escapes; bytes that are no UTF-8 become the replacement character.
func appendText(dst []byte, text string) []byte {
	out, err := jsontext.AppendQuote(dst, text)
	if err != nil && len(out) == len(dst) {
		return append(dst, `""`...)
	}
	return out
}
