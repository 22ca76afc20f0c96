-- Events of our own are told once, however the process ends: each waits here from the transaction of what it tells of to its own.

-- +goose Up
CREATE TABLE notice (
  id         INTEGER PRIMARY KEY,
  tenant     INTEGER NOT NULL,
  webhook    BLOB NOT NULL,    -- its id: it may be gone when this is told
  operation  INTEGER NOT NULL, -- of webhooks, as triggers numbers them
  name       TEXT NOT NULL,    -- the event's id
  at_ms      INTEGER NOT NULL,
  properties TEXT NOT NULL     -- JSON
) STRICT;
CREATE UNIQUE INDEX notice_name ON notice (tenant, name);
