package web_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"portalhook/web"
)

// TestCodesAreExplained holds the list of codes in the manual to the codes there are.
func TestCodesAreExplained(t *testing.T) {
	manual, err := os.ReadFile("../docs/errors.md")
	require.NoError(t, err)
	listed := map[string]int{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+|HTTP-429)` \\| (\\d{3})").FindAllStringSubmatch(string(manual), -1) {
		status, err := strconv.Atoi(row[2])
		require.NoError(t, err)
		require.NotContains(t, listed, row[1], "listed twice")
		listed[row[1]] = status
	}
	require.Equal(t, web.Kinds(), listed)
}

// TestCodesFromBelow reads the sources of the packages that judge input, and sees that each code they name is known here.
func TestCodesFromBelow(t *testing.T) {
	known := slices.Sorted(maps.Keys(web.Kinds()))
	code := regexp.MustCompile(`^"[A-Z]+(_[A-Z]+)*"$`)
	found := 0
	for _, dir := range []string{"../triggers", "../payload", "../delivery"} {
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				var text string
				switch n := n.(type) {
				case *ast.ValueSpec: // const CodeTooLong = "TOO_LONG"
					if len(n.Values) == 1 && strings.HasPrefix(strings.ToLower(n.Names[0].Name), "code") {
						text = literal(n.Values[0])
					}
				case *ast.CallExpr: // Invalid("TOO_LONG", …)
					if len(n.Args) > 2 && strings.HasSuffix(fmt.Sprint(callee(n)), "Invalid") {
						text = literal(n.Args[0])
					}
				case *ast.KeyValueExpr: // Code: "TOO_LONG"
					if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Code" {
						text = literal(n.Value)
					}
				}
				if code.MatchString(text) {
					found++
					require.Contains(t, known, strings.Trim(text, `"`), name)
				}
				return true
			})
		}
	}
	require.Greater(t, found, 10)
}

func literal(e ast.Expr) string {
	if l, ok := e.(*ast.BasicLit); ok && l.Kind == token.STRING {
		return l.Value
	}
	return ""
}

func callee(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.Ident:
		return f.Name
	case *ast.SelectorExpr:
		return f.Sel.Name
	}
	return ""
}
