package storage

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"portalhook/triggers"
)

// APIKeys lists all keys of all tenants, the revoked and expired ones too, the oldest first.
func (s *base) APIKeys(ctx context.Context) ([]triggers.APIKey, error) {
	const query = `SELECT id, hash, tenant, name, role, operator, user_id, user_name, expires_ms, revoked, created_ms, used_ms
  FROM api_key ORDER BY created_ms, id`
	var keys []triggers.APIKey
	err := each(ctx, s.direct(), query, nil, func(rows *sql.Rows) error {
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
func (s *base) AddAPIKey(ctx context.Context, k triggers.APIKey) error {
	var expires any
	if !k.Expires.IsZero() {
		expires = k.Expires.UnixMilli()
	}
	err := s.edit(ctx, func(e *editor) error {
		err := e.db.run(`INSERT INTO api_key (id, hash, tenant, name, role, operator, user_id, user_name, expires_ms, revoked, created_ms)
  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			k.ID, k.Hash[:], int64(k.Tenant), k.Name, string(k.Role), k.Operator, k.UserID, k.UserName, expires, k.Revoked, unixMilli(k.Created))
		if err != nil {
			return err
		}
		return e.note(ctx, k.Tenant)
	})
	if err != nil {
		return fmt.Errorf("api key %s: %w", k.ID, known(err))
	}
	return nil
}

// RevokeAPIKey revokes a tenant's key for good; triggers.ErrNotFound when there is none.
func (s *base) RevokeAPIKey(ctx context.Context, tenant uint32, id string) error {
	err := s.edit(ctx, func(e *editor) error {
		found, err := e.db.integer(`SELECT 1 FROM api_key WHERE id = ? AND tenant = ?`, id, int64(tenant))
		if err != nil {
			return err
		}
		if found == 0 {
			return triggers.ErrNotFound
		}
		if err := e.db.run(`UPDATE api_key SET revoked = 1 WHERE id = ?`, id); err != nil {
			return err
		}
		return e.note(ctx, tenant)
	})
	if err != nil {
		return fmt.Errorf("api key %s: %w", id, known(err))
	}
	return nil
}

// NoteKeyUse stores when keys, named by their ids, were last used; an earlier use than the stored one changes nothing.
func (s *base) NoteKeyUse(ctx context.Context, used map[string]time.Time) error {
	err := s.edit(ctx, func(e *editor) error {
		for id, at := range used {
			err := e.db.run(`UPDATE api_key SET used_ms = ?1 WHERE id = ?2 AND (used_ms IS NULL OR used_ms < ?1)`, at.UnixMilli(), id)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("use of api keys: %w", known(err))
	}
	return nil
}
