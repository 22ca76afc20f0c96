package web_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBadCallers calls every operation with a good request and every kind of key: who is not listed for it is refused, with the status and
// the code that the kind of key leads to, and nothing is stored; who is listed succeeds.
func TestBadCallers(t *testing.T) {
	unauthorized, forbidden := rule{401, "UNAUTHORIZED", "-"}, rule{403, "FORBIDDEN", "-"}
	strangers := map[string]string{"no key": "", "an unknown key": "nobody", "an expired key": expiredKey, "a revoked key": revokedKey}
	// An operator's key has the role admin, too.
	keys := map[string][]string{
		adminKey: {"admin"}, userKey: {"user"}, emitterKey: {"emitter"}, viewerKey: {"viewer"}, operatorKey: {"operator", "admin"},
	}
	for _, op := range operations(t) {
		roles := fmt.Sprint(op.Extensions["x-roles"])
		may := func(names []string) bool {
			return slices.ContainsFunc(names, func(name string) bool { return slices.Contains(strings.Fields(strings.Trim(roles, "[]")), name) })
		}
		send := request{method: op.method}
		for contentType, list := range op.bases(t) {
			send.contentType, send.body = contentType, list[0].body
		}
		if roles == "[anyone]" {
			require.Equal(t, op.success(), newWorld(t, "").do(t, request{method: op.method, path: op.path}).status, op.OperationID)
			continue
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			w := newWorld(t, adminKey)
			r := send
			r.path = w.paths.Replace(op.path)
			for name, key := range strangers {
				r.key = key
				w.refuse(t, r, unauthorized, false, op.OperationID+" with "+name)
			}
			for key, names := range keys {
				w := newWorld(t, key)
				r := send
				r.path, r.key = w.paths.Replace(op.path), key
				if key == userKey {
					// What the tenant's administrators say of owners and origins is not a user's to say.
					r.body = strings.Replace(r.body, `"ownerId":"ann"`, `"ownerId":"u-user-key"`, 1)
				}
				if !may(names) {
					w.refuse(t, r, forbidden, false, op.OperationID+" with the "+key)
				} else if a := w.do(t, r); a.status != op.success() {
					t.Errorf("%s with the %s: want %d, got %d %s", op.OperationID, key, op.success(), a.status, a.body)
				}
			}
		})
	}
}

// TestBadIDs asks every operation on a thing for what is another tenant's, another user's, not there, or no id at all: all of these look
// the same.
func TestBadIDs(t *testing.T) {
	missing := rule{404, "NOT_FOUND", "-"}
	absent := strings.NewReplacer("{webhook}", strings.Repeat("0", 31)+"1", "{event}", "evt_6dar567000zzz", "{delivery}", "dlv_6dar567000zzz", "{tenant}", "nobody", "{key}", "nobody",
		"{receiver}", strings.Repeat("a", 26))
	noID := strings.NewReplacer("{webhook}", "x", "{event}", "x", "{delivery}", "x", "{tenant}", "a b", "{key}", "a b", "{receiver}", "a b")
	for _, op := range operations(t) {
		if !strings.Contains(op.path, "{") {
			continue
		}
		t.Run(op.method+" "+op.path, func(t *testing.T) {
			w := newWorld(t, adminKey)
			var r request
			for contentType, list := range op.bases(t) {
				r.contentType, r.body = contentType, list[0].body
			}
			r.method = op.method
			refuse := func(why, key, path string, want rule) {
				r.key, r.path = key, strings.ReplaceAll(path, " ", "%20")
				w.refuse(t, r, want, false, op.OperationID+" of "+why)
			}
			refuse("what is not there", operatorKey, absent.Replace(op.path), missing)
			refuse("no id", operatorKey, noID.Replace(op.path), missing)
			if strings.Contains(op.path, "{tenant}") {
				refuse("another's tenant", otherKey, w.paths.Replace(op.path), rule{403, "FORBIDDEN", "-"})
				return
			}
			refuse("another tenant's", otherKey, w.paths.Replace(op.path), missing)
			if strings.Contains(op.path, "{webhook}") {
				refuse("the tenant's webhook as a user", userKey, w.paths.Replace(op.path), missing)
				made := w.call(t, http.MethodPost, "/api/v1/webhooks", wholeHook)
				require.Equal(t, http.StatusCreated, made.status, made.body)
				anns := made.json(t)["id"].(string)
				refuse("another user's webhook", userKey, w.paths.Replace(strings.Replace(op.path, "{webhook}", anns, 1)), missing)
			}
			if strings.Contains(op.path, "{receiver}") {
				refuse("another user's receiver", userKey, w.paths.Replace(op.path), missing)
			}
			if strings.Contains(op.path, "{delivery}") {
				other := w.create(t, hook)
				refuse("another webhook's delivery", adminKey, w.paths.Replace(strings.Replace(op.path, "{webhook}", other, 1)), missing)
			}
		})
	}
}
