package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"
)

// queryTexts says of parameters what their schemas cannot, by operation and name, or by name alone. A text that is empty asks for nothing,
// and is good of all.
var queryTexts = map[string]textRule{
	"next": {bad: bad(400, "OUT_OF_RANGE", "abc", "%%", "K2NyZWF0ZWRBdAB4")},
	"prev": {bad: bad(400, "OUT_OF_RANGE", "abc", "%%", "K2NyZWF0ZWRBdAB4")},
	"from": {good: []string{"2026-11-22T03:00:00Z", "2026-11-22T03:00:00.5+01:00"}, bad: bad(400, "OUT_OF_RANGE", "yesterday", "-1", "1969-01-01T00:00:00Z")},
	"to":   {good: []string{"2099-11-22T03:00:00Z"}, bad: bad(400, "OUT_OF_RANGE", "tomorrow", "-1", "1969-01-01T00:00:00Z")},
	// 90 days are the most that can be asked for.
	"getStats.to":   {good: []string{"2026-11-22T03:00:00Z", "1795316400000"}, bad: bad(400, "OUT_OF_RANGE", "tomorrow", "0")},
	"getStats.from": {bad: bad(400, "OUT_OF_RANGE", "yesterday", "2020-01-01T00:00:00Z")},

	"sort": {bad: bad(400, "OUT_OF_RANGE", "nothing", "--", "-", "+-createdAt", "CREATEDAT")},

	"listEvents.uri":            {good: []string{"/items/share", "/items/x", "/items/x/share", "com.qlik.v1.app.created"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},
	"listEvents.eventId":        {good: []string{"any\ntext"}},
	"listEvents.username":       {good: []string{"any text"}},
	"listMatches.webhookName":   {good: []string{"any text"}},
	"listMatches.state":         {good: []string{"waiting", "waiting,sending", ","}, bad: bad(400, "OUT_OF_RANGE", "open", "waiting,open", "Waiting")},
	"postMatch.name":            {good: []string{"any text"}},
	"postMatch.except":          {good: []string{"{event}"}, bad: bad(400, "OUT_OF_RANGE", "x", "evt_0000000000000")},
	"listWebhooks.name":         {good: []string{"any text", "%", "_"}},
	"listWebhooks.url":          {good: []string{"any text"}},
	"listWebhooks.eventTypes":   {good: []string{"/items/share", "/items/{share,unshare},/", ","}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz", "/items,/itemz")},
	"listWebhooks.eventType":    {good: []string{"/items/share"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},
	"listWebhooks.origins":      {good: []string{"api", "api,automations"}, bad: bad(400, "OUT_OF_RANGE", "me", "api,me")},
	"listWebhooks.ownerId":      {good: []string{"anybody"}},
	"listWebhooks.nameIs":       {good: []string{"any text", "%"}},
	"listWebhooks.urlIs":        {good: []string{"any text"}},
	"listWebhooks.owner":        {good: []string{"any text", "_"}},
	"listWebhooks.createdFrom":  {good: []string{"2026-11-22T03:00:00Z", "1795316400000"}, bad: bad(400, "OUT_OF_RANGE", "yesterday", "0")},
	"listWebhooks.createdTo":    {good: []string{"2026-11-22T03:00:00Z"}, bad: bad(400, "OUT_OF_RANGE", "tomorrow", "-1")},
	"listWebhooks.lastDelivery": {good: []string{"never", "succeeded,exhausted", ","}, bad: bad(400, "OUT_OF_RANGE", "fine", "never,sending")},
	"minSuccessShare":           {good: []string{"0", "0.5", "1"}, bad: bad(400, "OUT_OF_RANGE", "x", "-0.1", "1.1", "NaN")},
	"maxSuccessShare":           {good: []string{"0", "0.5", "1"}, bad: bad(400, "OUT_OF_RANGE", "x", "-0.1", "1.1", "NaN")},
	"createdByUserId":           {good: []string{"anybody"}},
	"updatedByUserId":           {good: []string{"anybody"}},
	"listWebhooks.trigger":      {good: []string{"any text", "%", "share"}},
	"listDeliveries.state":      {good: []string{"waiting", "waiting,sending", ","}, bad: bad(400, "OUT_OF_RANGE", "open", "waiting,open", "Waiting")},
	"listDeliveries.eventType":  {good: []string{"/items/share", "/users/signIn", "/"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},
	"getTail.kind":              {good: []string{"event", "end, attempt", ","}, bad: bad(400, "OUT_OF_RANGE", "events", "event,attempts", "END")},
	"getTail.webhook":           {good: []string{"{webhook}"}, bad: bad(400, "OUT_OF_RANGE", "x", "00000000000000000000000000000001")},
	"getTail.uri":               {good: []string{"/items/share", "/items/*/share"}, bad: bad(400, "UNKNOWN_TRIGGER", "/itemz")},
	"getRoutes.path":            {good: []string{"/", "/items", "/items/x", "/nothing/there"}, bad: bad(400, "OUT_OF_RANGE", "items", "/items/", "//")},
	"listKeys.userId":           {good: []string{"anybody"}},
	"tenant":                    {good: []string{"default", "FEDCBA9876543210"}, bad: bad(400, "OUT_OF_RANGE", "nobody")},
	"listAudit.objectId":        {bad: map[string]rule{"x": {400, "REQUIRED", "object"}}},
	// The key is another tenant's no more than the tenant is its.
	"getKey.tenant":    {good: []string{"default"}, bad: map[string]rule{"nobody": {400, "OUT_OF_RANGE", ""}, "other": {404, "NOT_FOUND", "-"}}},
	"revokeKey.tenant": {good: []string{"default"}, bad: map[string]rule{"nobody": {400, "OUT_OF_RANGE", ""}, "other": {404, "NOT_FOUND", "-"}}},
}

// unparsed are the parameters that are headers: they make of a body a CloudEvent in the binary mode, which has tests of its own.
func unparsed(p *openapi3.Parameter) bool {
	return p.In == "path" || p.In == "header" && strings.HasPrefix(p.Name, "Ce-")
}

// valuesOf are values of a parameter: good ones, and bad ones with the rule that they break.
func valuesOf(tb testing.TB, op *operation, p *openapi3.Parameter, used map[string]bool) (good []string, refused map[string]rule) {
	tb.Helper()
	name := op.OperationID + "." + p.Name
	texts, told := queryTexts[name]
	if !told {
		name = p.Name
		texts, told = queryTexts[name]
	}
	used[name] = true
	good, refused = append([]string{""}, texts.good...), map[string]rule{}
	maps.Copy(refused, texts.bad)
	refuse := func(list ...string) {
		for _, text := range list {
			refused[text] = rule{400, "OUT_OF_RANGE", ""}
		}
	}
	schema := p.Schema.Value
	switch {
	case schema.Type.Is("integer"):
		require.True(tb, schema.Min != nil && schema.Max != nil, "%s needs bounds", name)
		good = append(good, number(*schema.Min), number(*schema.Max))
		refuse(number(*schema.Min-1), number(*schema.Max+1), "1.5", "x", "1e1", "-1")
	case schema.Type.Is("boolean"):
		good = append(good, "true", "false")
		refuse("maybe", "1", "TRUE")
	case len(schema.Enum) > 0:
		for _, choice := range schema.Enum {
			good = append(good, choice.(string))
		}
		refuse("none-of-them", strings.ToUpper(schema.Enum[0].(string)))
	case schema.Pattern != "" && p.Name == "sort":
		columns := schema.Pattern[strings.Index(schema.Pattern, "?")+1 : len(schema.Pattern)-1]
		for column := range strings.SplitSeq(strings.Trim(columns, "()"), "|") {
			good = append(good, column, "+"+column, " "+column)
			refuse("--"+column, column+"x")
			if strings.Contains(schema.Pattern, "[-") {
				good = append(good, "-"+column)
			} else {
				refuse("-" + column)
			}
		}
	default:
		require.True(tb, told, "no rule says which values %s.%s may have", op.OperationID, p.Name)
	}
	return good, refused
}

// TestBadQueries asks every operation with every query parameter that it has: with values that it must take, and with such that must be
// refused. Of a parameter that is repeated the first value counts.
func TestBadQueries(t *testing.T) {
	used := map[string]bool{}
	for _, op := range operations(t) {
		for _, ref := range op.Parameters {
			p := ref.Value
			if unparsed(p) {
				continue
			}
			require.Equal(t, "query", p.In, p.Name)
			t.Run(op.method+" "+op.path+" "+p.Name, func(t *testing.T) {
				w := newWorld(t, operatorKey)
				send := request{method: op.method, path: w.paths.Replace(op.path), key: operatorKey}
				if list := op.bases(t)["application/json"]; list != nil {
					send.body = list[0].body
				}
				good, refused := valuesOf(t, &op, p, used)
				query := func(texts ...string) string { return "?" + url.Values{p.Name: texts}.Encode() }
				for text, want := range refused {
					if want.field == "" {
						want.field = p.Name
					}
					r := send
					r.path += query(text)
					w.refuse(t, r, want, false, fmt.Sprintf("%s %s=%q", op.OperationID, p.Name, text))
					r.path = send.path + query(text, good[len(good)-1])
					w.refuse(t, r, want, false, fmt.Sprintf("%s %s=%q, the first of two", op.OperationID, p.Name, text))
				}
				for _, text := range good {
					fresh := newWorld(t, operatorKey)
					text = fresh.paths.Replace(text)
					r := send
					r.path = fresh.paths.Replace(op.path) + query(text)
					if text != "" {
						r.path = fresh.paths.Replace(op.path) + query(slices.Concat([]string{text}, slices.Sorted(mapKeys(refused)))...)
					}
					if a := fresh.do(t, r); a.status != op.success() {
						t.Errorf("%s %s=%q: want %d, got %d %s", op.OperationID, p.Name, text, op.success(), a.status, a.body)
					}
				}
			})
		}
	}
	for name := range queryTexts {
		require.True(t, used[name], "%s: a rule that nothing asked for", name)
	}
	w := newWorld(t, operatorKey)
	for _, op := range operations(t) {
		if op.method == http.MethodGet && len(op.Parameters) > 0 && op.Parameters.GetByInAndName("query", "limit") != nil {
			w.refuse(t, request{method: op.method, path: w.paths.Replace(op.path) + "?a=%zz", key: operatorKey}, rule{400, "OUT_OF_RANGE", "-"}, false, op.OperationID)
		}
	}
}
