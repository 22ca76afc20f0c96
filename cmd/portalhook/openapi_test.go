package main_test

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The generator of clients and what its clients are built with, at the versions the test was written with.
const (
	generatorPackage = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen"
	generatorVersion = "v2.8.2"
	runtimePackage   = "github.com/oapi-codegen/runtime"
	runtimeVersion   = "v1.8.0"
)

// generatedMain is a program around the generated client; see its comment.
//
//go:embed testdata/openapi/main.go.txt
var generatedMain []byte

// A client is generated from the specification as it is served, compiled, and used. Where the generator cannot be fetched, the test is
// left out, and says so.
func TestGeneratedClient(t *testing.T) {
	t.Parallel()
	eachStore(t, testGeneratedClient)
}

func testGeneratedClient(t *testing.T, startServer starter) {
	t.Helper()
	module := generatedModule{t.TempDir()}
	if reason := module.fetch(t); reason != "" {
		left := "LEFT OUT: a client generated from the specification: " + reason
		t.Log(left)
		fmt.Fprintln(os.Stderr, left)
		return
	}
	server := startServer(t)
	resp, err := http.Get(server.url + "/api/openapi.json")
	require.NoError(t, err)
	defer resp.Body.Close()
	specification, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	module.write(t, "openapi.json", specification)

	out, err := module.command(t.Context(), "./oapi-codegen", "-generate", "types,client", "-package", "main", "-o", "client.go", "openapi.json")
	require.NoError(t, err, "generate: %s", out)
	module.write(t, "main.go", generatedMain)
	out, err = module.command(t.Context(), "go", "run", ".", server.url, server.key)
	require.NoError(t, err, "%s", out)
	require.Equal(t, "created generated [/items/share] true\nlisted 1 true\ngot portal [0s 5m] <nil>\ntold 0 <nil>\ndeleted 204 NOT_FOUND\n", string(out))
}

// generatedModule is the folder of a Go module of its own, so that the product's does not grow.
type generatedModule struct{ dir string }

func (m generatedModule) write(t *testing.T, name string, content []byte) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(m.dir, name), content, 0o600))
}

func (m generatedModule) command(ctx context.Context, name string, args ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = m.dir
	command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	return command.CombinedOutput()
}

// fetch brings the generator and what it needs, or says why it could not.
func (m generatedModule) fetch(t *testing.T) (reason string) {
	t.Helper()
	m.write(t, "go.mod", fmt.Appendf(nil, "module generated\n\ngo 1.26\n\nrequire (\n\t%s %s\n\t%s %s\n)\n",
		"github.com/oapi-codegen/oapi-codegen/v2", generatorVersion, runtimePackage, runtimeVersion))
	bounded, cancel := context.WithTimeout(t.Context(), installTimeout)
	defer cancel()
	for _, args := range [][]string{{"build", "-o", "oapi-codegen", generatorPackage}, {"build", runtimePackage, runtimePackage + "/types"}} {
		if out, err := m.command(bounded, "go", args...); err != nil {
			lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
			return fmt.Sprintf("go build: %v: %s", err, lines[len(lines)-1])
		}
	}
	return ""
}
