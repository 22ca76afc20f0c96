package triggers_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/triggers"
)

var codeSpan = regexp.MustCompile("`([^`]+)`")

// documentedRows are the rows of the table under a header line, each cell as its code spans.
func documentedRows(t *testing.T, header string) [][][]string {
	t.Helper()
	page, err := os.ReadFile("../docs/TRIGGERS.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(page), "\n"+header+"\n")
	require.True(t, found, header)
	table, _, _ = strings.Cut(table, "\n\n")
	var rows [][][]string
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		var row [][]string
		for cell := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			var spans []string
			for _, span := range codeSpan.FindAllStringSubmatch(cell, -1) {
				spans = append(spans, span[1])
			}
			row = append(row, spans)
		}
		rows = append(rows, row)
	}
	return rows
}

func TestDocumentedExamples(t *testing.T) {
	catalog := triggers.Default()
	rows := documentedRows(t, "| trigger | hears | does not hear |")
	require.Greater(t, len(rows), 30)
	for _, row := range rows {
		t.Run(row[0][0], func(t *testing.T) {
			trigger, err := catalog.ParseTrigger(row[0][0])
			require.NoError(t, err)
			require.NotEmpty(t, row[1])
			require.NotEmpty(t, row[2])
			for column, want := range map[int]bool{1: true, 2: false} {
				for _, text := range row[column] {
					uri, err := catalog.ParseURI(text)
					require.NoError(t, err)
					require.Equal(t, want, hears(&trigger, &uri), text)
				}
			}
		})
	}
}

func TestDocumentedRefusals(t *testing.T) {
	rows := documentedRows(t, "| trigger | code | suggested |")
	require.Greater(t, len(rows), 15)
	for _, row := range rows {
		t.Run(row[0][0], func(t *testing.T) {
			_, err := triggers.Default().ParseTrigger(row[0][0])
			var e *triggers.FieldError
			require.ErrorAs(t, err, &e)
			require.Equal(t, []string{e.Code}, row[1], "what the page says")
			if len(row[2]) == 0 {
				require.Empty(t, e.Suggestion)
				return
			}
			require.Equal(t, []string{e.Suggestion}, row[2], "what the page says")
		})
	}
}

func TestDocumentedFilters(t *testing.T) {
	catalog := triggers.Default()
	rows := documentedRows(t, "| triggers | filter | event | holds |")
	require.Greater(t, len(rows), 10)
	for _, row := range rows {
		text, verdict := row[1][0], row[3][0]
		t.Run(text, func(t *testing.T) {
			ts, err := catalog.ParseTriggers("eventTypes", row[0])
			require.NoError(t, err)
			filter, err := triggers.ParseFilter(text)
			if err == nil {
				err = triggers.CheckFilter(filter, ts)
			}
			if verdict == "refused" {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			ev, err := catalog.ParseEvent([]byte(row[2][0]))
			require.NoError(t, err)
			require.True(t, slices.ContainsFunc(ts, func(one triggers.Trigger) bool { return hears(&one, &ev.URI) }))
			require.Equal(t, verdict, map[bool]string{true: "yes", false: "no"}[filter.Holds(ev.FilterValues(ev.Properties))])
		})
	}
}

// TestDocumentedOwnEvents holds the page to the catalogue.
func TestDocumentedOwnEvents(t *testing.T) {
	rows := documentedRows(t, "| trigger | when | properties |")
	documented := make(map[string][]string)
	for _, row := range rows {
		documented[row[0][0]] = row[2]
	}
	catalogued := make(map[string][]string)
	for _, e := range triggers.Default().Entries() {
		if e.Resource == "webhooks" {
			catalogued[e.Name] = e.Properties
		}
	}
	require.Equal(t, catalogued, documented)
}
