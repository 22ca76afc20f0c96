package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"portalhook/delivery"
	"portalhook/storage"
	"portalhook/web"
)

// store is what a server needs of its database: it is met by *storage.Store and *storage.Postgres.
type store interface {
	delivery.Queue
	delivery.WebhookStore
	delivery.RecoveryStore
	delivery.Gauge
	web.History
	web.Overview
	web.KeyStore
	web.AuditLog
	web.Copier
	Ping(ctx context.Context) error
	Retain(ctx context.Context, before time.Time) error
	DeriveKey(purpose string) ([]byte, error)
	SessionKeys() ([][]byte, error)
	Close() error
}

// sharedStore is one that other nodes may have open at the same time.
type sharedStore interface {
	store
	// Now is the date by the clock that all nodes go by.
	Now() time.Time
	// Leads reports whether this is the node that does what one does for all.
	Leads() bool
	// Alone runs do while no other node does.
	Alone(ctx context.Context, do func(context.Context) error) error
	// Follow calls apply with what others have changed after a version, and hear with what they Tell, until ctx ends.
	Follow(ctx context.Context, version int64, apply func(context.Context, *delivery.Changes) error, hear func(text string))
	delivery.Others
	delivery.BuiltIns
}

var (
	_ store       = (*storage.Store)(nil)
	_ sharedStore = (*storage.Postgres)(nil)
)

// openStore opens the database that a configuration names.
func openStore(ctx context.Context, config storage.Config) (store, error) {
	if config.URL != "" {
		return storage.OpenPostgres(ctx, config)
	}
	return storage.OpenSQLite(ctx, config)
}

// isPostgres reports whether --store names a database of PostgreSQL's.
func isPostgres(text string) bool {
	return strings.HasPrefix(text, "postgres://") || strings.HasPrefix(text, "postgresql://")
}

// errNoKeyFile says what many nodes need.
var errNoKeyFile = errors.New("--key-file is needed with PostgreSQL: one file, the same on every node; it is made where there is none yet")

// storeConfig reads --store and --key-file.
func (s *serveCommand) storeConfig(log *slog.Logger) (storage.Config, error) {
	config := storage.Config{KeyFile: s.KeyFile, ForgetSecrets: s.ForgetSecrets, Log: log}
	if isPostgres(s.Store) {
		config.URL = s.Store
		if err := storage.CheckPostgresURL(s.Store); err != nil {
			return config, fmt.Errorf("--store: %w", err)
		}
		if config.KeyFile == "" {
			return config, errNoKeyFile
		}
		return config, nil
	}
	path, ok := strings.CutPrefix(s.Store, "sqlite:")
	if !ok || path == "" {
		return config, fmt.Errorf("--store %q is neither sqlite:FILE nor postgres://…", withoutUser(s.Store))
	}
	config.Path = path
	if config.KeyFile == "" {
		config.KeyFile = path + ".key"
	}
	return config, nil
}

// storeName is --store as it may be logged: without a password.
func storeName(text string) string {
	if !isPostgres(text) {
		return text
	}
	return storage.RedactURL(text)
}
