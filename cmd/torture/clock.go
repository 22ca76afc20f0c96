package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

func clockScenarios() []scenario {
	return []scenario{
		{name: "clock-steps", cases: []int{26}, about: "the wall clock is set to and fro under load, by seconds and by days, also while the server is down", run: clockSteps},
	}
}

// steppedClock is a package that only the altered binary has. It adds the seconds in a file to the wall clock and leaves the monotonic reading as it
// is, as the kernel does when somebody sets the clock: a time's first word holds the seconds above thirty bits of nanoseconds (time.Time).
const steppedClock = `package clockstep

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"
)

var step atomic.Int64

func init() {
	follow()
	go func() {
		for range time.Tick(5 * time.Millisecond) {
			follow()
		}
	}()
}

func follow() {
	text, err := os.ReadFile(os.Getenv("TORTURE_CLOCK"))
	if err != nil {
		return
	}
	if seconds, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil {
		step.Store(seconds)
	}
}

func Now() time.Time {
	t := time.Now()
	*(*uint64)(unsafe.Pointer(&t)) += uint64(step.Load()) << 30
	return t
}
`

// clockBinary builds the product with that clock in the place of time.Now. Go asks the kernel past the C library, so that no faked clock of a
// library or a namespace reaches it.
func (r *rig) clockBinary() (string, error) {
	const all = `{{$dir := .Dir}}{{if .Module}}{{if .Module.Main}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`
	list, err := goList("list", "-deps", "-f", all, "portalhook/cmd/portalhook")
	if err != nil {
		return "", err
	}
	root, err := goList("list", "-m", "-f", "{{.Dir}}", "portalhook")
	if err != nil {
		return "", err
	}
	files := map[string]string{filepath.Join(root, "clockstep", "clockstep.go"): steppedClock}
	for path := range strings.Lines(list) {
		path = strings.TrimSpace(path)
		if path == "" {
			continue
		}
		text, err := os.ReadFile(path) // #nosec G304 -- our own tree
		if err != nil {
			return "", err
		}
		stepped := timeNow.ReplaceAllString(string(text), "clockstep.Now")
		if stepped == string(text) {
			continue
		}
		stepped = strings.Replace(stepped, "import (\n", "import (\n\t\"portalhook/clockstep\"\n", 1) + "\nvar _ time.Time // the import may be used for nothing else\n"
		files[path] = stepped
	}
	if len(files) == 1 {
		return "", errors.New("nothing in the product asks for the time")
	}
	return r.altered(files)
}

var timeNow = regexp.MustCompile(`\btime\.Now\b`)

// clockSteps sets the clock while events and retries are under way. The receiver refuses each event once, so that everything has been due.
func clockSteps(r *rig) error {
	binary, err := r.clockBinary()
	if err != nil {
		return err
	}
	offset := r.path("clock")
	set := func(d time.Duration) error {
		r.account.faults++
		next := offset + ".next"
		return errors.Join(os.WriteFile(next, []byte(strconv.FormatInt(int64(d/time.Second), 10)), 0o600), os.Rename(next, offset))
	}
	if err := set(0); err != nil {
		return err
	}
	s, err := r.serve(serverOptions{binary: binary, env: []string{"TORTURE_CLOCK=" + offset}})
	if err != nil {
		return err
	}
	v, err := r.receive(s, "refuses-once", refuseOnce())
	if err != nil {
		return err
	}
	v.ignoreTime()
	const day = 24 * time.Hour
	steps := []time.Duration{20 * time.Second, -20 * time.Second, 10 * time.Minute, -10 * time.Minute, 3 * day, -3 * day, 40 * day, 0}
	l := r.emit(s, r.size.events, loadOptions{})
	for i, step := range steps {
		if err := errors.Join(l.reached((i+1)*r.size.events/(len(steps)+2)), set(step)); err != nil {
			return err
		}
		if i%3 == 2 { // down while it is set
			s.kill()
			if err := errors.Join(set(-step), s.start()); err != nil {
				return fmt.Errorf("after a step of %s: %w", -step, err)
			}
		}
	}
	return errors.Join(l.wait(), r.settle(s, 3*time.Minute))
}
