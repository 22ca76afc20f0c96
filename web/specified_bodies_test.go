package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"portalhook/delivery"
	"portalhook/payload"
	"portalhook/triggers"
)

// operation is one of the specification, at one of the addresses it is served under.
type operation struct {
	*openapi3.Operation
	method, path string
}

// operations are all that the specification has, in a fixed order.
func operations(tb testing.TB) []operation {
	tb.Helper()
	c, err := loadContract()
	require.NoError(tb, err)
	var list []operation
	for _, path := range slices.Sorted(maps.Keys(c.doc.Paths.Map())) {
		item := c.doc.Paths.Value(path)
		servers := item.Servers
		if servers == nil {
			servers = c.doc.Servers
		}
		for _, method := range slices.Sorted(maps.Keys(item.Operations())) {
			for _, server := range servers {
				op := operation{item.Operations()[method], method, server.URL + path}
				shared := *op.Operation
				shared.Parameters = slices.Concat(item.Parameters, shared.Parameters)
				op.Operation = &shared
				list = append(list, op)
			}
		}
	}
	return list
}

// success is the status of an answer that is no refusal, the lowest where there are several.
func (op *operation) success() int {
	for _, status := range slices.Sorted(maps.Keys(op.Responses.Map())) {
		if n, err := strconv.Atoi(status); err == nil && n < 300 {
			return n
		}
	}
	return 0
}

// bases are good bodies of the operation, by content type: those of the table, else the specification's example.
func (op *operation) bases(tb testing.TB) map[string][]base {
	tb.Helper()
	if op.RequestBody == nil {
		return nil
	}
	list := map[string][]base{}
	for contentType, content := range op.RequestBody.Value.Content {
		if unprobed[contentType] != "" {
			continue
		}
		list[contentType] = bases[op.OperationID][contentType]
		if list[contentType] == nil {
			require.NotNil(tb, content.Example, "%s needs an example in the specification, or a base", op.OperationID)
			list[contentType] = []base{{body: string(textOfJSON(tb, content.Example))}}
		}
	}
	return list
}

// world is a server with a thing of every kind in it, and where these are.
type world struct {
	*edge
	paths *strings.Replacer
}

// newWorld has a webhook and a built-in receiver for the user of the key given, or the tenant's for any other, and one delivery.
func newWorld(tb testing.TB, key string) *world {
	tb.Helper()
	w := &world{edge: newBareEdge(tb)}
	maker := map[bool]string{true: userKey, false: adminKey}[key == userKey]
	made := w.as(tb, maker, "POST", "/api/v1/webhooks", unowned)
	require.Equal(tb, http.StatusCreated, made.status, made.body)
	event := w.as(tb, adminKey, "POST", "/api/v1/events", `{"uri":"/items/x/share","username":"ann","userId":"u","ownerId":"u-user-key","properties":{"sharedToGroups":["g"]}}`)
	require.Equal(tb, http.StatusAccepted, event.status, event.body)
	require.Len(tb, w.records, 1)
	w.settle(func(_ int, r *delivery.Record) {
		id, _ := triggers.ParseWebhookID(made.json(tb)["id"].(string))
		r.Tries, r.WebhookID = 1, id
		r.Revision = payload.Revision{Builder: payload.Version, WebhookID: id, PortalURL: "https://portal.example.com/", Format: triggers.FormatAuto}
		r.Events = []payload.Event{{ID: r.EventID, URI: triggers.URI{Resource: triggers.Items}, Body: []byte("{}")}}
	})
	w.paths = strings.NewReplacer(
		"{webhook}", made.json(tb)["id"].(string), "{event}", event.json(tb)["id"].(string), "{delivery}", w.records[0].ID.Delivery(),
		"{tenant}", "default", "{key}", viewerKey,
		"{recovery}", w.recover(tb, made.json(tb)["id"].(string)), "{receiver}", w.newReceiver(tb, maker, "{}")["token"].(string),
	)
	return w
}

// unowned is wholeHook without an owner, whom the server then chooses.
var unowned = strings.NewReplacer(`"level":"user","ownerId":"ann",`, "").Replace(wholeHook)

// state is all that is stored. Webhooks are never changed in place.
type state struct {
	webhooks   map[uint32]*triggers.Webhook
	events     int
	records    int
	keys       string
	tenants    string
	audit      int
	recoveries string
	receivers  string
}

func (w *world) state() state {
	w.mu.Lock()
	defer w.mu.Unlock()
	return state{maps.Clone(w.webhooks), len(w.events), len(w.records), fmt.Sprint(w.keys), fmt.Sprint(w.tenants), len(w.audit), w.told(), w.server.Receivers()}
}

// refuse sends a request that must be refused as the rule says, and must leave everything as it was. Inside a batch the error has an index.
func (w *world) refuse(tb testing.TB, r request, want rule, inBatch bool, why string) {
	tb.Helper()
	before := w.state()
	a := w.do(tb, r)
	got := rule{status: a.status}
	if a.status >= http.StatusBadRequest {
		p := a.problem(tb)
		got.code, _ = p["code"].(string)
		got.field, _ = p["field"].(string)
		if _, hasIndex := p["index"]; hasIndex != inBatch {
			tb.Errorf("%s: index, or none: %s", why, a.body)
		}
	}
	if want.field == "-" {
		want.field = ""
	}
	if got != want {
		tb.Errorf("%s: %.300s\nwant %v, got %v\n%s", why, r.body, want, got, a.body)
	}
	require.Equal(tb, before, w.state(), "%s: something was stored", why)
}

// TestBadBodies walks through the schema of every body: whatever is one step off it is refused with the status, code and field that the
// rules say, and stores nothing; what is just within it is taken. A new member or route without a rule is a failure.
func TestBadBodies(t *testing.T) {
	rules, met := newRulebook(), map[seen]bool{}
	for _, op := range operations(t) {
		for contentType, list := range op.bases(t) {
			t.Run(op.method+" "+op.path+" "+contentType, func(t *testing.T) {
				w := newWorld(t, operatorKey)
				send := request{method: op.method, path: w.paths.Replace(op.path), key: operatorKey, contentType: contentType}
				schema := op.RequestBody.Value.Content[contentType].Schema
				for _, from := range list {
					probes := probesOf(t, op.OperationID, schema, from, rules, met)
					probes = append(probes, probe{body: from.body, step: "as it is", good: true})
					for _, p := range append(probes, malformed(&op, from.body)...) {
						send.body = p.body
						why := fmt.Sprintf("%s: %v %s", op.OperationID, p.at, p.step)
						want, ok := rules.refusal(&p)
						if p.good && !ok {
							fresh := newWorld(t, operatorKey)
							within := send
							within.path = fresh.paths.Replace(op.path)
							if a := fresh.do(t, within); a.status != op.success() {
								t.Errorf("%s %.300q: %.300s\nwant %d, got %d %s", why, p.text, p.body, op.success(), a.status, a.body)
							}
							continue
						}
						require.True(t, ok, "%s: no rule says how that is refused", why)
						// An event of a batch is named by its index.
						field := p.at.String()
						inBatch := op.OperationID == "postEvents" && (strings.HasPrefix(field, "[0]") || strings.HasPrefix(p.step, "not ") && p.body[0] == '[')
						if inBatch {
							field = strings.TrimPrefix(strings.TrimPrefix(field, "[0]"), ".")
						}
						if want.field == "" {
							want.field = field
						}
						w.refuse(t, send, want, inBatch, why)
					}
				}
			})
		}
	}
	for member, probed := range met {
		require.True(t, probed, "no base has the member %s, which is in the specification", member.name)
	}
	require.Empty(t, rules.unused(), "rules that nothing asked for")
}

// malformed are bodies that are no good whatever their schema.
func malformed(op *operation, body string) []probe {
	whole := place{scopes: []scope{{op.OperationID, 0}}}
	probes := []probe{
		{at: whole, step: "not JSON", body: body[:len(body)-1]},
		{at: whole, step: "text behind", body: body + "x"},
		{at: whole, step: "not UTF-8", body: strings.Replace(body, "}", ",\"\xff\":1}", 1)},
	}
	if op.RequestBody.Value.Required {
		probes = append(probes, probe{at: whole, step: "empty", body: " "})
	}
	return probes
}

// TestBadFrames holds what stands around a body to the specification: its content type, its encoding and its size.
func TestBadFrames(t *testing.T) {
	for _, op := range operations(t) {
		for contentType, list := range op.bases(t) {
			w := newWorld(t, operatorKey)
			send := request{method: op.method, path: w.paths.Replace(op.path), key: operatorKey, contentType: contentType, body: list[0].body}
			for _, other := range []string{"text/plain", "application/x-www-form-urlencoded", contentType + "; charset=latin1", "application/", " "} {
				r := send
				r.contentType = other
				w.refuse(t, r, rule{415, triggers.CodeMediaType, "-"}, false, op.OperationID+" as "+other)
			}
			r := send
			r.header = http.Header{"Content-Encoding": {"gzip"}}
			w.refuse(t, r, rule{415, triggers.CodeMediaType, "-"}, false, op.OperationID+" compressed")
			most := 1 << 20
			if op.OperationID == "postEvents" {
				most = 8 << 20
			}
			r = send
			r.body += strings.Repeat(" ", most+1-len(r.body))
			w.refuse(t, r, rule{413, triggers.CodeTooLarge, "-"}, false, op.OperationID+" too large")
			r.body = r.body[:most]
			require.Equal(t, op.success(), w.do(t, r).status, "%s at the limit", op.OperationID)
		}
	}
}

// TestHeaderBytes holds both kinds of headers to the bound on all their names and values together, which no schema can state.
func TestHeaderBytes(t *testing.T) {
	for _, member := range []string{"headers", "encryptedHeaders"} {
		of := func(size int) string {
			value := strings.Repeat("é", (size-len("x-ax-b")-1)/2) + "v"
			half := len(value)/2 | 1 // between two letters
			return webhookWith(member, `{"x-a":"`+value[half-1:]+`","x-b":"`+value[:half-1]+`"}`)
		}
		w := newWorld(t, adminKey)
		send := request{method: "POST", path: "/api/v1/webhooks", key: adminKey, body: of(2049)}
		w.refuse(t, send, rule{400, "TOO_LONG", member}, false, member)
		w.create(t, of(2047))
		w.create(t, strings.Replace(of(2047), `v"`, `vv"`, 1))
	}
}
