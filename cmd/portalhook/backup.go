package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"portalhook/storage"
)

const backupsPath = "/api/v1/backups"

type backupCommand struct {
	File  string `arg:"" help:"Where the copy goes; there must be no such file." placeholder:"FILE"`
	Store string `help:"Copy this store, which no server has open: sqlite:FILE." placeholder:"STORE"`
	serverFlags
}

// Help is shown below the summary.
func (backupCommand) Help() string {
	return `A running server makes the copy, of one moment and of all tenants, while it goes on with its work; that takes an operator's key. The key file is not in it: keep that apart.

	portalhook backup portalhook-2026-11-25.db
	portalhook serve --store sqlite:portalhook-2026-11-25.db --key-file portalhook.db.key  # to restore it`
}

// Validate is called by kong once the flags are read.
func (b *backupCommand) Validate() error {
	if isPostgres(b.Store) {
		return errors.New("--store: a store on PostgreSQL is copied by PostgreSQL's own means, such as pg_dump; keep the key file apart")
	}
	if b.Store != "" && len(strings.TrimPrefix(b.Store, "sqlite:")) == 0 || b.Store != "" && !strings.HasPrefix(b.Store, "sqlite:") {
		return fmt.Errorf("--store %q is not sqlite:FILE", b.Store)
	}
	return b.serverFlags.Validate()
}

// Run makes the copy under another name, brings it to disk and only then gives it its own. So a file of that name is whole.
func (b *backupCommand) Run(ctx context.Context, std streams) (err error) {
	if _, err := os.Lstat(b.File); err == nil {
		return fmt.Errorf("%s is there already: nothing was copied", b.File)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial, err := os.CreateTemp(filepath.Dir(b.File), filepath.Base(b.File)+".partial-*") // for its owner alone
	if err != nil {
		return err
	}
	defer func() {
		_ = partial.Close() // again, after all went well
		if removed := os.Remove(partial.Name()); removed != nil && !errors.Is(removed, fs.ErrNotExist) {
			err = errors.Join(err, removed)
		}
	}()
	keyFile := "the server's key file"
	if path, ok := strings.CutPrefix(b.Store, "sqlite:"); ok {
		keyFile = "the key file (" + path + ".key, if serve was not given another)"
		err = storage.CopySQLite(ctx, path, partial)
		if errors.Is(err, storage.ErrLocked) {
			err = fmt.Errorf("%w: have that server make the copy, without --store", err)
		}
	} else {
		err = b.client().download(ctx, http.MethodPost, backupsPath, partial)
	}
	if err != nil {
		return err
	}
	size, err := keep(partial, b.File)
	if err != nil {
		return err
	}
	fmt.Fprintf(std.err, `%s: %.1f MB
Not in it: %s. Secrets are sealed under it: keep a copy of it, apart from this one.
To restore: portalhook serve --store sqlite:%[1]s --key-file KEYFILE
`, b.File, float64(size)/1e6, keyFile)
	return nil
}

// keep brings a finished file to disk and gives it a name that no other has.
func keep(partial *os.File, name string) (size int64, err error) {
	info, err := partial.Stat()
	if err != nil {
		return 0, err
	}
	if err := partial.Sync(); err != nil {
		return 0, err
	}
	if err := partial.Close(); err != nil {
		return 0, err
	}
	// A link, unlike a rename, takes no other file's place. The first name goes when all is over.
	err = os.Link(partial.Name(), name)
	if err != nil && !errors.Is(err, fs.ErrExist) { // there are file systems without links
		err = renameToNew(partial.Name(), name)
	}
	if err != nil {
		return 0, err
	}
	folder, err := os.Open(filepath.Dir(name))
	if err != nil {
		return 0, err
	}
	return info.Size(), errors.Join(folder.Sync(), folder.Close())
}

// renameToNew takes the name with an empty file first.
func renameToNew(from, to string) error {
	file, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator's own name
	if err != nil {
		return err
	}
	return errors.Join(file.Close(), os.Rename(from, to))
}

// download is call for an answer of any length, written to out; one that is cut off is an error.
func (c *client) download(ctx context.Context, method, path string, out io.Writer) error {
	unbounded := *c.http
	unbounded.Timeout = 0 // a large store takes its time
	request, err := c.request(ctx, method, path, "", nil)
	if err != nil {
		return err
	}
	response, err := unbounded.Do(request)
	if err != nil {
		return c.undone(ctx, method, path, err)
	}
	defer response.Body.Close()
	if !succeeded(response.StatusCode) {
		answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
		if err != nil {
			return unanswered(c.base+" broke off its answer", err)
		}
		return refusal(response, answer, c.key != "")
	}
	n, err := io.Copy(out, response.Body)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("%s %s: %w", method, path, context.Cause(ctx))
	case err != nil:
		return unanswered(c.base+" broke off its answer", err)
	case response.ContentLength < 0 || n != response.ContentLength:
		return unanswered(c.base+" did not say how long its answer is", io.ErrUnexpectedEOF)
	}
	return nil
}
