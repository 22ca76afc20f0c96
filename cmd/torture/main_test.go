package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every scenario, in little: no acknowledged event is lost.
func TestScenarios(t *testing.T) {
	binary, err := newBuild("")
	require.NoError(t, err)
	t.Cleanup(binary.remove)
	t.Run("sqlite", func(t *testing.T) {
		for _, s := range scenarios(sqlite) {
			t.Run(s.name, func(t *testing.T) {
				t.Parallel() // they wait more than they work
				inLittle(t, s, sqlite, binary)
			})
		}
	})
	t.Run("postgres", func(t *testing.T) {
		if testing.Short() {
			t.Skip("the processes are not built with the race detector")
		}
		room := make(chan struct{}, 4) // they wait for a node's silence, most of the time
		var group sync.WaitGroup
		for _, s := range scenarios(postgres) {
			if s.of != postgres && !slices.Contains(sharedInLittle, s.name) {
				continue
			}
			group.Go(func() {
				room <- struct{}{}
				defer func() { <-room }()
				t.Run(s.name, func(t *testing.T) { inLittle(t, s, postgres, binary) })
			})
		}
		group.Wait()
	})
}

// sharedInLittle are those of both stores that the tests run with several nodes, too; all of them are run by make torture.
var sharedInLittle = []string{"kill", "sigterm", "answers-410", "soak"}

func inLittle(t *testing.T, s scenario, on store, binary *build) {
	t.Helper()
	o := play(t.Context(), s, on, binary, brief, 1, t.Output())
	t.Log(o.line())
	require.NoError(t, o.err)
}

// The power-cut scenario sees what it looks for: a store that does not wait for the disk loses events.
func TestPowerCutIsFelt(t *testing.T) {
	const source = "../../storage/sqlite.go"
	text, err := withReplaced(source, "_synchronous=FULL", "_synchronous=OFF")
	require.NoError(t, err)
	path, err := filepath.Abs(source)
	require.NoError(t, err)
	altered := rig{dir: t.TempDir()}
	binary, err := altered.altered(map[string]string{path: text})
	require.NoError(t, err)
	careless := scenario{name: "careless", run: powerCut}
	o := play(t.Context(), careless, sqlite, &build{path: binary}, brief, 1, t.Output())
	t.Log(o.line())
	require.Error(t, o.err, "events are lost, or the file is not one any more")
}

// The page's rows are the scenarios that there are, and its list of cases is what the tree has.
func TestReportIsOfThisTree(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(root + "/docs/reliability.md")
	require.NoError(t, err)
	for on, mark := range tableMark {
		_, table, _, err := between(string(page), mark)
		require.NoError(t, err)
		var rows, names []string
		for _, found := range regexp.MustCompile("(?m)^\\| `([a-z0-9-]+)` \\|").FindAllStringSubmatch(table, -1) {
			rows = append(rows, found[1])
		}
		for _, s := range scenarios(on) {
			names = append(names, s.name)
		}
		require.Equal(t, names, rows, "make reliability STORE=%s writes it anew", on)
	}
	cases, err := casesTable(root)
	require.NoError(t, err)
	filled, err := fill(string(page), casesMark, cases)
	require.NoError(t, err)
	require.Equal(t, filled, string(page), "go run ./cmd/torture -cases docs/reliability.md writes it anew")
	require.NotContains(t, strings.ReplaceAll(cases, "| | case |", ""), "|  |", "every case is shown by something, or says why not")
}
