package main

import (
	"os"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

// The operator's page names every command, and every flag of serve with its variable and its default.
func TestOperatingPageIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	page := string(text)
	parser, err := kong.New(new(commandLine), kong.NoDefaultHelp())
	require.NoError(t, err)
	for _, command := range parser.Model.Children {
		require.Contains(t, page, "`"+command.Name+"`")
		if command.Name != "serve" {
			continue
		}
		for _, flag := range command.Flags {
			require.Contains(t, page, "`--"+flag.Name)
			if flag.Hidden {
				continue
			}
			variable := flag.Envs[0]
			require.Equal(t, "PORTALHOOK_"+strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_")), variable)
			short := "`…" + strings.TrimPrefix(variable, "PORTALHOOK") + "`" // how the second of a pair is named
			require.True(t, strings.Contains(page, "`"+variable+"`") || strings.Contains(page, short), "%s is missing", variable)
			if flag.HasDefault {
				require.Contains(t, page, "`"+flag.Default+"`", flag.Name)
			}
		}
	}
}
