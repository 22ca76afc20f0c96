package storage

import (
	"database/sql"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"
)

// TestMigrationsInAnyOrder has each migration come last. Where the others need it, no store can have them without it; else the tables are
// the same as in the order of numbers.
func TestMigrationsInAnyOrder(t *testing.T) {
	t.Parallel()
	names, err := fs.Glob(migrations, "migrations/*.sql")
	require.NoError(t, err)
	want, err := migrated(t, names)
	require.NoError(t, err)
	free := 0
	const settled = 3 // were there before the others were begun, so every store has them first
	for _, last := range names[settled:] {
		others := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == last })
		if got, err := migrated(t, others, names); err == nil {
			require.Equal(t, want, got, "with %s last", last)
			free++
		}
	}
	require.Greater(t, free, 1, "what was written side by side comes in any order")
}

// migrated are the columns and indexes of a new store after one set of migrations and then another.
func migrated(t *testing.T, sets ...[]string) ([]string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.db")
	db, err := sql.Open("sqlite3", dataSource(path, writerPragmas))
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	for _, names := range sets {
		files := make(fstest.MapFS)
		for _, name := range names {
			text, err := migrations.ReadFile(name)
			require.NoError(t, err)
			files[filepath.Base(name)] = &fstest.MapFile{Data: text}
		}
		provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, migrateInAnyOrder)
		require.NoError(t, err)
		if _, err := provider.Up(t.Context()); err != nil {
			return nil, err
		}
	}
	opened, err := openConn(dataSource(path, writerPragmas))
	require.NoError(t, err)
	defer func() { require.NoError(t, opened.close()) }()
	all, err := forms(opened)
	require.NoError(t, err)
	var found []string
	for name, f := range all {
		if f.columns == nil {
			found = append(found, strings.Join(strings.Fields(f.sql), " "))
		}
		for _, c := range f.columns { // statements name columns, so that their order is nothing
			found = append(found, fmt.Sprintf("%s: %+v", name, c))
		}
	}
	slices.Sort(found)
	return found, nil
}
