package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a stranger sends must not reach the terminal's controls.
func TestPrintable(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"plain":             {"{\"a\": 1}\n\tb Ω 漢", "{\"a\": 1}\n\tb Ω 漢"},
		"escape":            {"a\x1b[31mb", `a\u001b[31mb`},
		"carriage return":   {"good\rbad", `good\u000dbad`},
		"delete and C1":     {"\x7f\u009b", `\u007f\u009b`},
		"right-to-left":     {"a\u202eb", `a\u202eb`},
		"bytes, not UTF-8":  {"a\xffb\x1b", "a\uFFFDb\\u001b"},
		"nothing":           {"", ""},
		"an ordinary space": {" ", " "},
	} {
		t.Run(name, func(t *testing.T) { require.Equal(t, test.want, printable(test.in)) })
	}
}

func TestScriptOfAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		command listenCommand
		want    []int
	}{
		"always the same":   {listenCommand{Status: 204}, []int{204, 204, 204}},
		"first the script":  {listenCommand{Status: 200, StatusScript: []int{500, 429}}, []int{500, 429, 200, 200}},
		"fail at first":     {listenCommand{Status: 202, FailFirst: 2}, []int{500, 500, 202}},
		"a script of fails": {listenCommand{Status: 410, StatusScript: []int{200}}, []int{200, 410, 410}},
	} {
		t.Run(name, func(t *testing.T) {
			answers := test.command.answers()
			for number, want := range test.want {
				require.Equal(t, want, answers.status(number))
			}
		})
	}
}

func TestTable(t *testing.T) {
	table := table{header: []string{"A", "LONG", "LAST"}}
	table.add("Ωmega", "x", "")
	table.add("", "y", "end")
	table.add("a\x1b[31m\nb\tc", "", "z")
	var plain, coloured bytes.Buffer
	require.NoError(t, table.print(&plain, paint(false)))
	require.Equal(t, "A                          LONG  LAST\nΩmega                      x\n                           y     end\n"+
		`a\u001b[31m\u000ab\u0009c        z`+"\n", plain.String(), "no line ends in blanks")
	require.NoError(t, table.print(&coloured, paint(true)))
	require.Contains(t, coloured.String(), "\x1b[1mA\x1b[0m                          \x1b[1mLONG\x1b[0m  ", "colour does not move columns")
}
