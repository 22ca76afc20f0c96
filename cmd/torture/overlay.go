package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// altered is a build of the product in which the compiler sees other source files than the tree or Go's own library has, so that a fault can be
// made that has no place in the product. files maps paths to what stands there instead.
func (r *rig) altered(files map[string]string) (binary string, err error) {
	replace := map[string]string{}
	for path, text := range files {
		stand := r.path(fmt.Sprintf("altered-%d-%s", len(replace), filepath.Base(path)))
		if err := os.WriteFile(stand, []byte(text), 0o600); err != nil {
			return "", err
		}
		replace[path] = stand
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	name := r.path("overlay.json")
	if err := os.WriteFile(name, overlay, 0o600); err != nil {
		return "", err
	}
	binary = r.path("portalhook-altered")
	return binary, goBuild(binary, "-overlay", name)
}

// goBuild builds the product from the tree that this program is run in.
func goBuild(to string, args ...string) error {
	line := slices.Concat([]string{"build", "-o", to}, args, []string{"portalhook/cmd/portalhook"})
	if out, err := exec.Command("go", line...).CombinedOutput(); err != nil { //nolint:noctx,gosec // it ends by itself; the arguments are ours
		return fmt.Errorf("build: %w: %s", err, out)
	}
	return nil
}

// goList asks the go command where something is.
func goList(args ...string) (string, error) {
	out, err := exec.Command("go", args...).Output() //nolint:noctx,gosec // it ends by itself; the arguments are ours
	return strings.TrimSpace(string(out)), err
}

// withReplaced is a source file with one piece of its text replaced, which must be there once.
func withReplaced(path, old, with string) (string, error) {
	text, err := os.ReadFile(path) // #nosec G304 -- a source file
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), old); n != 1 {
		return "", fmt.Errorf("%s has %q %d times", path, old, n)
	}
	return strings.Replace(string(text), old, with, 1), nil
}
