package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
)

// quarters are a mount namespace with a file system of a fixed size in it, so that a disk can be full or read-only without harm to the
// machine. It needs root or unprivileged user namespaces, and util-linux.
type quarters struct {
	ctx    context.Context
	dir    string // where the file system is mounted, seen from within only
	holder *exec.Cmd
	enter  []string
}

// quarters makes them; mebibytes is the size of the file system.
func (r *rig) quarters(mebibytes int) (*quarters, error) {
	dir := r.path("small")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	line, enter := []string{"unshare", "--mount", "--propagation", "private"}, []string{"nsenter", "--mount"}
	if os.Geteuid() != 0 {
		line, enter = append(line, "--map-root-user"), append(enter, "--user", "--preserve-credentials")
	}
	script := fmt.Sprintf("mount -t tmpfs -o size=%dm,mode=0700 tmpfs %q && echo mounted && exec sleep infinity", mebibytes, dir)
	holder := exec.CommandContext(context.WithoutCancel(r.ctx), line[0], append(line[1:], "sh", "-c", script)...) // #nosec G204 -- what it runs is ours
	out, err := holder.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := holder.Start(); err != nil {
		return nil, fmt.Errorf("%w: no namespace: %w", errLeftOut, err)
	}
	r.cleanups = append(r.cleanups, func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	if said, err := bufio.NewReader(out).ReadString('\n'); said != "mounted\n" {
		return nil, fmt.Errorf("%w: no file system of its own: %w", errLeftOut, err)
	}
	return &quarters{ctx: r.ctx, dir: dir, holder: holder, enter: append(enter, "--target", strconv.Itoa(holder.Process.Pid), "--")}, nil
}

// wrap is the command line that runs another in the quarters; it ends up as the process itself.
func (q *quarters) wrap(line []string) []string { return slices.Concat(q.enter, line) }

// run runs a script in the quarters.
func (q *quarters) run(script string) error {
	line := q.wrap([]string{"sh", "-c", script})
	if out, err := exec.CommandContext(q.ctx, line[0], line[1:]...).CombinedOutput(); err != nil { // #nosec G204 -- what it runs is ours
		return fmt.Errorf("%s: %w: %s", script, err, out)
	}
	return nil
}
