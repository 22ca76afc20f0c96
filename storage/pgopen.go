package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	locks "github.com/pressly/goose/v3/lock"
)

// postgresForm numbers what nodes expect of each other and of the tables. It rises with a change that a node of the version before could not
// live beside for good; one that is ahead by more than one is refused, in either direction.
const postgresForm = 1

// migrateLock is the number of the lock that a node holds which brings the tables up to date.
const migrateLock = 0x706f7274616c

// errURL says nothing of the URL, which holds a password.
var errURL = errors.New("the URL is not one of PostgreSQL, such as postgres://user:password@host:5432/database")

// CheckPostgresURL reports whether OpenPostgres can make sense of a URL. The error does not show it.
func CheckPostgresURL(url string) error {
	if _, err := pgx.ParseConfig(url); err != nil {
		return errURL
	}
	return nil
}

// migratePostgres brings the fixed tables up to date: one node at a time, while others may run, older ones too. So a migration only adds, and
// what it takes away no node has needed since the version before.
func migratePostgres(ctx context.Context, url string) (err error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return errURL
	}
	maps.Copy(config.RuntimeParams, pgKeepAlives)
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	files, err := migrationFiles()
	if err != nil {
		return err
	}
	// For as long as a minute, every half second: another node may be at it.
	alone, err := locks.NewPostgresSessionLocker(locks.WithLockID(migrateLock), locks.WithLockTimeout(1, 60))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, migrateInAnyOrder, goose.WithSessionLocker(alone))
	if err != nil {
		return err
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return agreeOnForm(ctx, db)
}

// agreeOnForm refuses a database whose nodes are too far ahead, and says so to those that come later.
func agreeOnForm(ctx context.Context, db *sql.DB) error {
	var text string
	err := db.QueryRowContext(ctx, `INSERT INTO meta (name, value) VALUES ('form', $1)
  ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::integer, excluded.value::integer)::text RETURNING value`, strconv.Itoa(postgresForm)).Scan(&text)
	if err != nil {
		return err
	}
	form, err := strconv.Atoi(text)
	if err == nil && form > postgresForm+1 {
		err = fmt.Errorf("the database is of form %d, and this version knows %d: it is of a version much later", form, postgresForm)
	}
	return err
}

// openKeyRing opens the key file, or makes it for a database without secrets. All nodes need the same: the first writes down what others know
// it by.
func (p *Postgres) openKeyRing(ctx context.Context, config Config) error {
	if config.KeyFile == "" {
		return errors.New("a key file must be named: the same on every node")
	}
	var err error
	p.ring, err = openKeyRing(config.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		p.ring, err = p.makeKeyRing(ctx, config)
	}
	if err != nil {
		return err
	}
	return p.plain(ctx, func(tx pgStatements) error {
		if err := tx.lock(lockEdit, false); err != nil {
			return err
		}
		known, err := tx.keysKnown()
		if err != nil {
			return err
		}
		ours := p.ring.fingerprints()
		shared := slices.ContainsFunc(ours, func(one string) bool { return slices.Contains(known, one) })
		if len(known) > 0 && !shared && !config.ForgetSecrets {
			return fmt.Errorf("%w: %s holds none of the keys that the database's nodes have", ErrSecrets, config.KeyFile)
		}
		return tx.run(setNote, noteKeys, strings.Join(ours, " "))
	})
}

func (s pgStatements) keysKnown() (known []string, err error) {
	var text string
	err = s.tx.QueryRow(s.ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = 'keys'), '')`).Scan(&text)
	return strings.Fields(text), err
}

// makeKeyRing writes a key file for the first node of all.
func (p *Postgres) makeKeyRing(ctx context.Context, config Config) (*keyRing, error) {
	var known bool
	var secrets int
	err := p.pool.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'keys'), (SELECT count(*) FROM webhook WHERE secrets IS NOT NULL)`).
		Scan(&known, &secrets)
	if err != nil {
		return nil, err
	}
	if (known || secrets > 0) && !config.ForgetSecrets {
		return nil, fmt.Errorf("%w: %s is missing, and other nodes have keys; copy their file, %d webhooks have secrets sealed under it",
			ErrSecrets, config.KeyFile, secrets)
	}
	return makeKeyRing(config.KeyFile)
}

// fingerprints tell keys apart, and nothing of them.
func (r *keyRing) fingerprints() []string {
	list := make([]string, len(r.roots))
	for i, root := range r.roots {
		sum := sha256.Sum256(append([]byte("portalhook key file\x00"), root...))
		list[i] = hex.EncodeToString(sum[:12])
	}
	return list
}
