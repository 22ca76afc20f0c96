package web_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var memberName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,40}$`)

// sourceWords are the strings in the Go files of folders, tests left out, that could name a member.
func sourceWords(t *testing.T, folders ...string) map[string]bool {
	t.Helper()
	words := make(map[string]bool)
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.go"))
		require.NoError(t, err)
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			file, err := parser.ParseFile(token.NewFileSet(), path, source, parser.SkipObjectResolution)
			require.NoError(t, err)
			ast.Inspect(file, func(n ast.Node) bool {
				if literal, ok := n.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && memberName.MatchString(text) {
						words[text] = true
					}
				}
				return true
			})
		}
	}
	return words
}
