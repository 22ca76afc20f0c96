package main_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// installTimeout is long for packages of this size, and short for a network that swallows everything.
	installTimeout = 2 * time.Minute
	// nodeTimeout is long for these programs on a machine that is busy.
	nodeTimeout = 5 * time.Minute
)

// npmProject is a folder with JavaScript programs and the packages of npm's that they need.
type npmProject struct {
	programs string   // a folder of testdata, copied
	specs    []string // the packages at the versions the tests were written with; none: node alone is needed
	made     func() (dir, reason string)
}

// newNpmProject describes a project; it is installed when the first test asks for it, once for all of them. It stands beside the
// tests' own program, in the folder that the go command removes after the run.
func newNpmProject(programs string, specs ...string) *npmProject {
	p := &npmProject{programs: programs, specs: specs}
	p.made = sync.OnceValues(p.install)
	return p
}

func (p *npmProject) install() (dir, reason string) {
	needed := []string{"node", "npm"}
	if len(p.specs) == 0 {
		needed = needed[:1]
	}
	for _, program := range needed {
		if _, err := exec.LookPath(program); err != nil {
			return "", program + " is not installed"
		}
	}
	tests, err := os.Executable()
	if err != nil {
		return "", err.Error()
	}
	if dir, err = os.MkdirTemp(filepath.Dir(tests), "npm-"); err != nil {
		return "", err.Error()
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", p.programs))); err != nil {
		return "", err.Error()
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true}`), 0o600); err != nil {
		return "", err.Error()
	}
	if len(p.specs) == 0 {
		return dir, ""
	}
	bounded, cancel := context.WithTimeout(context.Background(), installTimeout)
	defer cancel()
	install := exec.CommandContext(bounded, "npm", append([]string{
		"install", "--prefer-offline", "--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0",
	}, p.specs...)...)
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		first, _, _ := bytes.Cut(bytes.TrimSpace(out), []byte("\n"))
		return "", fmt.Sprintf("npm install %s: %v: %s", strings.Join(p.specs, " "), err, first)
	}
	return dir, ""
}

// folder gives the project's folder. Where npm is not there, or cannot install, the test is left out, and says so in one line.
func (p *npmProject) folder(t *testing.T) (dir string, ok bool) {
	t.Helper()
	dir, reason := p.made()
	if reason != "" {
		leaveOut(t, t.Name()+": "+reason)
	}
	return dir, reason == ""
}

// leaveOut says in one visible line what was not tested, and why.
func leaveOut(t *testing.T, what string) {
	t.Helper()
	left := "LEFT OUT: " + what
	t.Log(left)
	fmt.Fprintln(os.Stderr, left)
}

// node runs a program of the project in its folder and gives what it printed.
func node(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	bounded, cancel := context.WithTimeout(t.Context(), nodeTimeout)
	defer cancel()
	cmd := exec.CommandContext(bounded, "node", append([]string{program}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s\n%s", out, &stderr)
	return string(out)
}
