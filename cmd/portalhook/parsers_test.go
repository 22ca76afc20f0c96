package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// parserName is how functions are named that make something of a text, and takesText what they take it as.
var (
	parserName = regexp.MustCompile(`^(?i:parse|read|decode|unmarshal|from|split|cut|open|extract)`)
	takesText  = regexp.MustCompile(`^(string|\[\]string|\[\]byte|jsontext\.Value|http\.Header|io\.Reader|\*http\.Request|\*http\.Response|url\.Values|echo\.Context)$`)
)

// functions are those of a kind of file, by package and name: in testdata, and in what serves tests alone, there are none.
func functions(t *testing.T, tests bool) map[string]*ast.FuncDecl {
	t.Helper()
	found := map[string]*ast.FuncDecl{}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != root && (name == "testdata" || name == "torture" || strings.HasPrefix(name, ".") || strings.HasSuffix(name, "test")) {
			return filepath.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") != tests {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, declaration := range file.Decls {
			if f, ok := declaration.(*ast.FuncDecl); ok {
				name := filepath.ToSlash(folder) + "."
				if f.Recv != nil {
					name += strings.TrimPrefix(types.ExprString(f.Recv.List[0].Type), "*") + "."
				}
				found[name+f.Name.Name] = f
			}
		}
		return nil
	}))
	return found
}

// Every function that reads a text stands in testdata/parsers.txt, with the fuzz targets that reach it or the reason why it needs none; and
// what stands there is there.
func TestEveryParserIsFuzzed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "parsers.txt"))
	require.NoError(t, err)
	targets := functions(t, true)
	parsers, product := map[string]bool{}, functions(t, false)
	for name, f := range product {
		for _, parameter := range f.Type.Params.List {
			if parserName.MatchString(f.Name.Name) && takesText.MatchString(types.ExprString(parameter.Type)) {
				parsers[name] = true
			}
		}
	}
	reached := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, how, ok := strings.Cut(line, " ")
		require.True(t, ok, line)
		require.NotNil(t, product[name], "the table names what there is not: %s", name)
		delete(parsers, name)
		if _, reason := strings.CutPrefix(how, "- "); reason {
			continue
		}
		for target := range strings.FieldsSeq(how) {
			require.Contains(t, targets, target, line)
			reached[target] = true
		}
	}
	require.Empty(t, slices.Sorted(maps.Keys(parsers)), "parsers that the table does not have")
	require.Greater(t, len(reached), 20)
}
