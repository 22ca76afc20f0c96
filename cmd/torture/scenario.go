package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"
)

// scenario is one way in which things go wrong.
type scenario struct {
	name  string // as the table and -run have it
	of    store  // empty: of every store
	cases []int  // of the forty that docs/reliability.md lists
	about string // what is done, for the table
	run   func(*rig) error
}

// store is what the product keeps everything in.
type store string

const (
	sqlite   store = "sqlite"
	postgres store = "postgres"
)

// size is how much of it there is.
type size struct {
	events int // emitted in a scenario
	kills  int // in scenarios that kill
}

var (
	usual = size{events: 20_000, kills: 200}
	brief = size{events: 1_000, kills: 3}
)

func (s size) times(n int) size { return size{events: n * s.events, kills: n * s.kills} }

// outcome is what a scenario came to.
type outcome struct {
	scenario
	account
	took time.Duration
	err  error
	left string // why it was left out, if it was

	hosts string // of nodes: what each was on
}

// errLeftOut is wrapped by what a scenario returns when the machine does not allow it. The table says so.
var errLeftOut = errors.New("left out")

// play runs one scenario in a folder of its own and clears up after it.
func play(ctx context.Context, s scenario, on store, b *build, z size, seed uint64, out io.Writer) outcome {
	o := outcome{scenario: s}
	began := time.Now()
	dir, err := os.MkdirTemp("", "torture-"+s.name+"-")
	if err != nil {
		o.err = err
		return o
	}
	r := &rig{
		on: on, ctx: ctx, dir: dir, size: z, build: b, random: rand.New(rand.NewPCG(seed, 0)), // #nosec G404 -- a draw that can be repeated
		logf: func(format string, args ...any) { fmt.Fprintf(out, "  "+format+"\n", args...) },
	}
	if on == postgres {
		o.err = r.startCluster()
	}
	if o.err == nil {
		o.err = s.run(r)
	}
	r.account.verify(r.receivers, r.servers)
	o.account = r.account
	if r.cluster != nil {
		o.hosts = r.cluster.where()
	}
	o.err = errors.Join(o.err, o.problem())
	if o.err != nil && !errors.Is(o.err, errLeftOut) {
		r.logf("the server's last words:\n%s", r.lastWords())
	}
	r.clear()
	if errors.Is(o.err, errLeftOut) {
		o.left, o.err = o.err.Error(), nil
	}
	if o.err == nil {
		o.err = os.RemoveAll(dir)
	} else {
		r.logf("kept: %s", dir)
	}
	o.took = time.Since(began)
	return o
}

// line is the outcome in a line for the terminal.
func (o outcome) line() string {
	if o.left != "" {
		return fmt.Sprintf("LEFT OUT  %s: %s", o.name, o.left)
	}
	word := "ok  "
	if o.err != nil {
		word = "FAIL"
	}
	s := fmt.Sprintf("%s  %-24s %6.1f s  %d faults, %d acknowledged, %d lost, %d duplicates, recovered within %s%s", word, o.name, o.took.Seconds(),
		o.faults, o.acknowledged, o.lost, o.duplicates, o.recoveredWithin(), o.refusalsText())
	if len(o.taken) > 0 {
		s += ", taken over within " + o.takenOverWithin()
	}
	if o.err != nil {
		s += "\n      " + strings.ReplaceAll(o.err.Error(), "\n", "\n      ")
	}
	return s
}

// scenarios are all there are of a store, in the order of its table.
func scenarios(on store) []scenario {
	all := slices.Concat(processScenarios(), nodeScenarios(), diskScenarios(), clockScenarios(), hostileScenarios(), nameScenarios(), limitScenarios(), fairnessScenarios(), soakScenarios())
	return slices.DeleteFunc(all, func(s scenario) bool { return s.of != "" && s.of != on })
}
