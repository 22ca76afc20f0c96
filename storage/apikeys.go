package storage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"portalhook/triggers"
)

// APIKeys lists all keys of all tenants, the revoked and expired ones too, the oldest first.
func (s *Store) APIKeys(ctx context.Context) ([]triggers.APIKey, error) {
	const query = `SELECT id, hash, tenant, name, role, operator, user_id, user_name, expires_ms, revoked, created_ms, used_ms
  FROM api_key ORDER BY created_ms, id`
	var keys []triggers.APIKey
	err := each(ctx, s.readers, query, nil, func(rows *sql.Rows) error {
		var k triggers.APIKey
		var hash []byte
		var expires, used sql.NullInt64
		var created int64
		err := rows.Scan(&k.ID, &hash, &k.Tenant, &k.Name, &k.Role, &k.Operator, &k.UserID, &k.UserName, &expires, &k.Revoked, &created,
			&used)
		copy(k.Hash[:], hash)
		k.Expires, k.Created, k.LastUsed = timeOf(expires.Int64), timeOf(created), timeOf(used.Int64)
		keys = append(keys, k)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("api keys: %w", err)
	}
	return keys, nil
}

// AddAPIKey stores a key. That its id or its hash is there already is an error.
func (s *Store) AddAPIKey(ctx context.Context, k triggers.APIKey) error {
	return s.write(ctx, func(w *writer) error {
		var expires any
		if !k.Expires.IsZero() {
			expires = k.Expires.UnixMilli()
		}
		err := w.db.transaction(func() error {
			err := w.db.run(`INSERT INTO api_key (id, hash, tenant, name, role, operator, user_id, user_name, expires_ms, revoked, created_ms)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
				k.ID, k.Hash[:], int64(k.Tenant), k.Name, string(k.Role), k.Operator, k.UserID, k.UserName, expires, k.Revoked, unixMilli(k.Created))
			if err != nil {
				return err
			}
			return w.note(ctx, k.Tenant)
		})
		if err != nil {
			return fmt.Errorf("api key %s: %w", k.ID, commitError(err))
		}
		return nil
	})
}

// RevokeAPIKey revokes a tenant's key for good; triggers.ErrNotFound when there is none.
func (s *Store) RevokeAPIKey(ctx context.Context, tenant uint32, id string) error {
	return s.write(ctx, func(w *writer) error {
		err := w.db.transaction(func() error {
			found, err := w.db.integer(`SELECT 1 FROM api_key WHERE id = ? AND tenant = ?`, id, int64(tenant))
			if err != nil {
				return err
			}
			if found == 0 {
				return triggers.ErrNotFound
			}
			if err := w.db.run(`UPDATE api_key SET revoked = 1 WHERE id = ?`, id); err != nil {
				return err
			}
			return w.note(ctx, tenant)
		})
		if err != nil {
			return fmt.Errorf("api key %s: %w", id, known(err))
		}
		return nil
	})
}

// NoteKeyUse stores when keys, named by their ids, were last used; an earlier use than the stored one changes nothing.
func (s *Store) NoteKeyUse(ctx context.Context, used map[string]time.Time) error {
	return s.write(ctx, func(w *writer) error {
		err := w.db.transaction(func() error {
			for id, at := range used {
				err := w.db.run(`UPDATE api_key SET used_ms = ?1 WHERE id = ?2 AND (used_ms IS NULL OR used_ms < ?1)`, at.UnixMilli(), id)
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("use of api keys: %w", commitError(err))
		}
		return nil
	})
}
