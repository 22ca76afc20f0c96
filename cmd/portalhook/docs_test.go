package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
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

// Every key of a log line stands in the operator's page, and the page has no other.
func TestLogKeysAreThoseOfTheOperatingPage(t *testing.T) {
	text, err := os.ReadFile("../../docs/operating.md")
	require.NoError(t, err)
	_, section, ok := strings.Cut(string(text), "\n## Logs\n")
	require.True(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	documented := map[string]bool{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 || !strings.Contains(cells[1], "`") {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ", ") {
			documented[strings.Trim(name, " `")] = true
		}
	}
	used := map[string]bool{}
	require.NoError(t, filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && len(entry.Name()) > 2 && strings.HasPrefix(entry.Name(), ".") {
			return fs.SkipDir // what tools keep
		}
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(node ast.Node) bool {
			if call, ok := node.(*ast.CallExpr); ok {
				for _, key := range logKeys(call) {
					used[key] = true
				}
			}
			return true
		})
		return nil
	}))
	require.Greater(t, len(used), 10)
	require.Equal(t, documented, used)
}

// logKeys are the keys in a call that writes a log line with pairs (log.Info and its kin), or makes one attribute (slog.String and its kin).
func logKeys(call *ast.CallExpr) (keys []string) {
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	literal := func(arg ast.Expr) {
		if basic, ok := arg.(*ast.BasicLit); ok && basic.Kind == token.STRING {
			if key, err := strconv.Unquote(basic.Value); err == nil {
				keys = append(keys, key)
			}
		}
	}
	if name, ok := method.X.(*ast.Ident); ok && name.Name == "slog" {
		if slices.Contains([]string{"String", "Int", "Int64", "Bool", "Any", "Duration", "Time"}, method.Sel.Name) {
			literal(call.Args[0])
		}
		return keys
	}
	logger := ""
	switch x := method.X.(type) {
	case *ast.Ident:
		logger = x.Name
	case *ast.SelectorExpr:
		logger = x.Sel.Name
	}
	if logger != "log" || !slices.Contains([]string{"Debug", "Info", "Warn", "Error"}, method.Sel.Name) {
		return nil
	}
	for i := 1; i < len(call.Args); i += 2 { // after the message
		literal(call.Args[i])
	}
	return keys
}
