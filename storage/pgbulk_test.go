package storage_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/storage"
)

// Plans are made once for each connection, also when there is hardly any work, and stay when there is much: what changes many rows of work at a time looks each
// of them up, whatever the table looked like.
func TestWorkIsLookedUp(t *testing.T) {
	t.Parallel()
	store := openPostgres(t, postgresConfig(t, nil))
	t.Cleanup(func() { _ = store.Close() })
	now := store.Now()
	for _, known := range []string{`SELECT`, `VACUUM ANALYZE work`} {
		store.Exec(t, known)
		for _, statement := range storage.ChangesOfWork {
			var plan []struct{ Plan planNode }
			require.NoError(t, json.Unmarshal([]byte(store.Explain(t, statement, func(kind string) string { return sample(kind, now) })), &plan), statement)
			require.False(t, plan[0].Plan.passesAll("work"), "%s: %s\n%+v", known, statement, plan[0].Plan)
		}
	}
}

// passesAll reports whether a step reads a table from end to end.
func (n *planNode) passesAll(table string) bool {
	return n.Relation == table && strings.HasSuffix(n.Type, "Scan") && n.Type != "Tid Scan" && n.Cond == "" ||
		slices.ContainsFunc(n.Plans, func(step planNode) bool { return step.passesAll(table) })
}
