package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// reliabilityCases are forty ways in which webhook servers are known to fail, each with what must be seen instead. A case is shown by tests whose names
// begin with TestCase and its number, by those of the stores' suites that begin with it, by scenarios that name it.
var reliabilityCases = [40]string{
	"killed with -9 at random points under load: every acknowledged event has its deliveries",
	"power cut: what was not synced to the disk is gone, no acknowledged event is",
	"a write is durable when the call returns, with many writers",
	"the database refuses between an event and its deliveries: neither exists, the sender gets a 5xx",
	"disk full, then space again: clear refusals, no corruption, deliveries go on by themselves",
	"a corrupt database file: the start refuses with a clear message",
	"the database is away under load: 503 meanwhile, then everything goes on",
	"stopped and started again under load, as an upgrade does: nothing is lost",
	"a node of several dies: another takes its work over",
	"SIGTERM: what is under way ends, nothing is half recorded",
	"two claimers never get the same delivery",
	"a claim that is stuck comes back; one that is alive does not",
	"whoever has lost a claim can neither renew nor settle it",
	"retries come at the stated times, never early, later by the stated share at most",
	"Retry-After in seconds, as a date, as nonsense, far away",
	"waiting for a rate limit does not use up an attempt",
	"a resend by hand and a retry collide: neither is lost, neither is doubled",
	"recover sends what failed, exactly, and goes on after a kill",
	"the same eventId twice, at the same instant too: one event, the same answer",
	"recording an outcome fails: only that delivery is made again, under the same webhook-id",
	"a delivery that can never succeed is set aside where one sees it; others go on",
	"a webhook with waiting work is deleted or changed: nothing goes to the old URL",
	"one receiver hangs: a healthy one waits within the stated bound",
	"failure again and again switches a webhook off, now and then does not; over restarts too",
	"failures of one webhook or tenant do not touch another",
	"a breaker opens, probes, closes; while the clock is set too",
	"10,000 webhooks on one event",
	"a receiver that drips, never ends, sends a gzip bomb or broken headers: ended by the deadline, 64 KiB read, recorded",
	"every kind of private address, in every spelling, is refused",
	"a name that answers a public address first and a private one at the dial",
	"redirects to private addresses are not followed",
	"one guard for deliveries, tests, checks, probes and our own events",
	"behind an egress proxy the guard still decides, and the proxy's trouble is not the webhook's",
	"signatures verify with public libraries; during a rotation both secrets do, afterwards one",
	"secrets cannot be read in the database, logs, API, exports, errors",
	"headers that would be injected, doubled or reserved are refused",
	"the trie finds what the naive loop finds, while webhooks change",
	"hostile patterns are refused, or matched in bounded time",
	"what is signed is what is sent, byte for byte",
	"every published event is at the receiver, once or more, in a soak with failures",
}

var (
	caseTest    = regexp.MustCompile(`(?m)^func (TestCase(\d\d)\w*)\(`)
	caseOfSuite = regexp.MustCompile(`\{"case (\d\d): ([^"]+)"`) // those that every store must pass
)

// casesHeld finds, by number, the tests and scenarios that show a case. root is the module's folder.
func casesHeld(root string) (map[int][]string, error) {
	held := map[int][]string{}
	for on, beside := range map[store]string{sqlite: "", postgres: ", nodes"} {
		for _, s := range scenarios(on) {
			for _, n := range s.cases {
				held[n] = append(held[n], "scenario `"+s.name+"`"+beside)
			}
		}
	}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != root && strings.HasPrefix(entry.Name(), "."):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || !strings.Contains(path, "test"):
			return nil
		}
		source, err := os.ReadFile(path) // #nosec G304 G122 -- of our own tree
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, found := range caseTest.FindAllSubmatch(source, -1) {
			n, err := strconv.Atoi(string(found[2]))
			if err != nil {
				return err
			}
			held[n] = append(held[n], fmt.Sprintf("`%s` in %s", found[1], filepath.ToSlash(folder)))
		}
		for _, found := range caseOfSuite.FindAllSubmatch(source, -1) {
			n, err := strconv.Atoi(string(found[1]))
			if err != nil {
				return err
			}
			held[n] = append(held[n], fmt.Sprintf("%s (of every store, %s)", found[2], filepath.ToSlash(folder)))
		}
		return nil
	})
	for _, by := range held {
		slices.Sort(by)
	}
	return held, err
}

// casesTable lists the forty cases and what shows each.
func casesTable(root string) (string, error) {
	held, err := casesHeld(root)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("| | case | shown by |\n|---|---|---|\n")
	for i, text := range reliabilityCases {
		by := strings.Join(held[i+1], "<br>")
		fmt.Fprintf(&b, "| %d | %s | %s |\n", i+1, text, by)
	}
	return b.String(), nil
}
