package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// nextTables are what the next version is taken to add to the tables.
const nextTables = `-- +goose Up
ALTER TABLE event ADD COLUMN later text NOT NULL DEFAULT '';
ALTER TABLE work ADD COLUMN later bigint NOT NULL DEFAULT 0;
CREATE TABLE later (key bigint PRIMARY KEY, event bigint NOT NULL);
`

// nextVersion builds the product with those tables, as the version after this one.
func (r *rig) nextVersion() (binary string, err error) {
	root, err := goList("list", "-m", "-f", "{{.Dir}}", "portalhook")
	if err != nil {
		return "", err
	}
	form := filepath.Join(root, "storage", "pgopen.go")
	text, err := withReplaced(form, "const postgresForm = 1", "const postgresForm = 2")
	if err != nil {
		return "", err
	}
	return r.altered(map[string]string{
		form: text, filepath.Join(root, "storage", "migrations", "postgres", "90000_next.sql"): nextTables,
	})
}

// upgrade starts two nodes of the next version at the same moment, while those of this one run, and then replaces these one after the other.
func upgrade(r *rig) error {
	next, err := r.nextVersion()
	if err != nil {
		return err
	}
	s, err := r.standard(serverOptions{})
	if err != nil {
		return err
	}
	before := s.peers.all
	l := r.emit(s, r.size.events, loadOptions{})
	if err := l.reached(r.size.events / 10); err != nil {
		return err
	}
	newer := serverOptions{store: s.options.store, binary: next}
	joining := peers{}
	for range 2 {
		if err := r.node(newer, &joining); err != nil {
			return err
		}
	}
	for _, node := range joining.all {
		node.peers = s.peers
	}
	if err := r.fault(l, func() error { return startTogether(joining.all) }, func() error { return nil }); err != nil {
		return err
	}
	tables, err := r.cluster.number(s.options.store, `SELECT count(*) FROM pg_tables WHERE tablename = 'later'`)
	if err != nil || tables != 1 {
		return errors.Join(err, fmt.Errorf("the next version's nodes have made %d of its tables", tables))
	}
	for i, node := range before {
		err := firstError(
			func() error { return l.reached((3 + 2*i) * r.size.events / 10) },
			func() error {
				return r.replaced(l, node, func() { node.options.binary = next })
			},
		)
		if err != nil {
			return err
		}
	}
	// Back again, as after an upgrade that was regretted: one version apart, in the other direction.
	err = r.replaced(l, s, func() { s.options.binary = r.build.path })
	return firstError(func() error { return err }, l.wait, l.undisturbed, func() error { return r.settle(s, 2*time.Minute) })
}
