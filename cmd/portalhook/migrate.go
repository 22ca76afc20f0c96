package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"portalhook/storage"
)

type migrateCommand struct {
	From    string `help:"The store there is: sqlite:FILE or postgres://…; no server may have it open." required:"" placeholder:"STORE"`
	To      string `help:"Where it goes, the other kind of store: empty, or begun by an earlier run." required:"" placeholder:"STORE"`
	KeyFile string `help:"The key file of the store there is (default beside a SQLite file). The other store needs the same." env:"PORTALHOOK_KEY_FILE" placeholder:"FILE"`
	DryRun  bool   `help:"Count only."`
}

// Help is shown below the summary.
func (migrateCommand) Help() string {
	return `Everything goes: tenants, keys, webhooks, events, deliveries, history, with their ids. Then both stores are read side by side, row by row. What an interrupted run has copied is not copied again; until all is there and checked, no server opens the new store.

	portalhook migrate --from sqlite:portalhook.db --to postgres://portalhook:PASSWORD@db.example.com/portalhook
	portalhook serve --store postgres://portalhook:PASSWORD@db.example.com/portalhook --key-file portalhook.db.key`
}

// Validate is called by kong once the flags are read.
func (m *migrateCommand) Validate() error {
	from, to, err := m.stores()
	switch {
	case err != nil:
		return err
	case (from.URL == "") == (to.URL == ""):
		return errors.New("--from and --to: one is sqlite:FILE and the other postgres://…")
	}
	return nil
}

func (m *migrateCommand) stores() (from, to storage.Config, err error) {
	if from, err = namedStore("--from", m.From); err != nil {
		return from, to, err
	}
	if from.KeyFile = m.KeyFile; from.KeyFile == "" {
		if from.URL != "" {
			return from, to, errors.New("--key-file is needed with --from postgres://…: the file that its servers have")
		}
		from.KeyFile = from.Path + ".key"
	}
	to, err = namedStore("--to", m.To)
	return from, to, err
}

// namedStore reads the name of a store.
func namedStore(flag, text string) (config storage.Config, err error) {
	if isPostgres(text) {
		if err := storage.CheckPostgresURL(text); err != nil {
			return config, fmt.Errorf("%s: %w", flag, err)
		}
		config.URL = text
		return config, nil
	}
	path, ok := strings.CutPrefix(text, "sqlite:")
	if !ok || path == "" {
		return config, fmt.Errorf("%s %q is neither sqlite:FILE nor postgres://…", flag, withoutUser(text))
	}
	config.Path = path
	return config, nil
}

// Run copies and checks, and shows how many rows there are of what.
func (m *migrateCommand) Run(ctx context.Context, std streams) error {
	from, to, err := m.stores()
	if err != nil {
		return err
	}
	var bar progress
	var at storage.TransferStep
	report, err := storage.Transfer{From: from, To: to, CountOnly: m.DryRun, Progress: func(step storage.TransferStep, done, total int64) {
		if step != at {
			bar.finish()
			bar, at = newCounted(std, int(total), string(step)), step
		}
		bar.reached(int(done), int(total))
	}}.Run(ctx)
	bar.finish()
	if err != nil {
		return m.explained(err)
	}
	if err := showTransferred(std.out, report, m.DryRun); err != nil {
		return err
	}
	if m.DryRun {
		fmt.Fprintf(std.err, "%d rows; nothing was copied\n", report.Rows())
		return nil
	}
	resumed := ""
	if report.Resumed > 0 {
		resumed = fmt.Sprintf(", %d of them by an earlier run", report.Resumed)
	}
	fmt.Fprintf(std.err, `%d rows copied%s, and read again on both sides: they are the same.
Secrets are sealed as they were. Begin with: portalhook serve --store %s --key-file %s
Do not start a server with the old store again: it would send what waits a second time.
`, report.Rows(), resumed, storeName(m.To), from.KeyFile)
	return nil
}

// explained says what can be done about an error.
func (m *migrateCommand) explained(err error) error {
	_, differ := errors.AsType[*storage.TransferError](err)
	switch {
	case differ:
		return fmt.Errorf("%w\nBegin again with an empty store", err)
	case errors.Is(err, storage.ErrLocked):
		return fmt.Errorf("%w: stop the server first", err)
	}
	return err
}

func showTransferred(out io.Writer, report *storage.TransferReport, counted bool) error {
	listed := table{header: []string{"TABLE", "ROWS", "HASH"}}
	if counted {
		listed.header = listed.header[:2]
	}
	for _, t := range report.Tables {
		listed.add([]string{t.Name, fmt.Sprint(t.Rows), t.Hash}[:len(listed.header)]...)
	}
	return listed.print(out, paintFor(out))
}
