-- When a key was last used, and who changed what.

-- +goose Up
ALTER TABLE api_key ADD COLUMN used_ms INTEGER; -- null: never

CREATE TABLE audit (
  id          INTEGER PRIMARY KEY, -- made like those of events: it sorts by the time of the change
  tenant      INTEGER NOT NULL REFERENCES tenant (key),
  key_id      TEXT NOT NULL,
  user_id     TEXT NOT NULL,
  action      TEXT NOT NULL,
  object      TEXT NOT NULL, -- its kind
  object_id   TEXT NOT NULL,
  before_json TEXT,          -- null: it was made
  after_json  TEXT,          -- null: it was removed
  trace_id    TEXT NOT NULL
) STRICT;
-- Each ends in the row's id by itself: a filter and an order are one walk.
CREATE INDEX audit_tenant ON audit (tenant);
CREATE INDEX audit_action ON audit (tenant, action);
CREATE INDEX audit_object ON audit (tenant, object);
CREATE INDEX audit_object_id ON audit (tenant, object, object_id);
