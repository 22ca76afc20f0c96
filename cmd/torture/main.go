// Command torture runs the real portalhook through faults and accounts for every event that it has acknowledged.
//
// Each scenario starts processes of the real binary on a store of its own, emits through HTTP, receives with receivers that verify every
// request, and in the end asks the server and the receivers about every event that was answered 202: is it stored, has it its deliveries,
// has it arrived, how often. An event that is missing anywhere is lost, and one lost event fails the run.
//
//	go run ./cmd/torture                      every scenario
//	go run ./cmd/torture -run 'kill|disk'     those whose name matches
//	go run ./cmd/torture -store postgres      with three nodes on one PostgreSQL, each on a host of its own
//	go run ./cmd/torture -long                ten times the events and the kills
//	go run ./cmd/torture -report FILE         write the table of docs/reliability.md; with -run, its rows of those scenarios anew
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	only := flags.String("run", "", "the scenarios whose name this expression matches")
	long := flags.Bool("long", false, "ten times the events and the kills")
	short := flags.Bool("short", false, "a twentieth of them, as the tests run it")
	kills := flags.Int("kills", 0, "how often the kill scenarios kill (default 200)")
	events := flags.Int("events", 0, "how many events a scenario emits (default 20000)")
	seed := flags.Uint64("seed", 0, "where faults fall; 0 draws one, which is printed")
	binary := flags.String("binary", "", "the portalhook to torture (default: built from this tree)")
	report := flags.String("report", "", "write the table into this page (docs/reliability.md)")
	cases := flags.String("cases", "", "only write the list of cases into this page")
	on := flags.String("store", string(sqlite), "what servers are tortured: sqlite, one on its file; postgres, three nodes on one PostgreSQL, each on a host of its own")
	limit := flags.Duration("limit", time.Hour, "end a run that takes longer")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *on != string(sqlite) && *on != string(postgres) {
		return fmt.Errorf("-store: %q is neither sqlite nor postgres", *on)
	}
	if *cases != "" {
		return writeCases(*cases)
	}
	matching, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	size := usual
	switch {
	case *long:
		size = size.times(10)
	case *short:
		size = brief
	}
	if *kills > 0 {
		size.kills = *kills
	}
	if *events > 0 {
		size.events = *events
	}
	if *seed == 0 {
		*seed = rand.Uint64() // #nosec G404 -- a draw that can be repeated
	}
	fmt.Fprintf(out, "seed %d, %d events, %d kills\n", *seed, size.events, size.kills)
	build, err := newBuild(*binary)
	if err != nil {
		return err
	}
	defer build.remove()
	var done []outcome
	for _, s := range scenarios(store(*on)) {
		if !matching.MatchString(s.name) {
			continue
		}
		o := play(ctx, s, store(*on), build, size, *seed, out)
		fmt.Fprintln(out, o.line())
		done = append(done, o)
	}
	if len(done) == 0 {
		return fmt.Errorf("no scenario matches %q", *only)
	}
	var failed []error
	for _, o := range done {
		if o.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", o.name, o.err))
		}
	}
	if *report != "" {
		failed = append(failed, writeReport(*report, store(*on), done, *seed, size, *only != ""))
	}
	return errors.Join(failed...)
}
