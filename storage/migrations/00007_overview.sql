-- What a tenant's events and deliveries came to by the hour, and how long a webhook's attempts took together.

-- +goose Up
ALTER TABLE hour ADD COLUMN took_us INTEGER NOT NULL DEFAULT 0;
-- The attempt of the hour that was settled last. Of hours before this column was, none is known.
ALTER TABLE hour ADD COLUMN last_ms     INTEGER NOT NULL DEFAULT 0; -- when it ended
ALTER TABLE hour ADD COLUMN last_id     INTEGER NOT NULL DEFAULT 0; -- of its delivery
ALTER TABLE hour ADD COLUMN last_state  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hour ADD COLUMN last_status INTEGER NOT NULL DEFAULT 0;

CREATE TABLE tenant_hour (
  tenant    INTEGER NOT NULL,
  hour      INTEGER NOT NULL, -- since 1970
  events    INTEGER NOT NULL,
  unmatched INTEGER NOT NULL,
  planned   INTEGER NOT NULL,
  skipped   INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  attempts  INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  failed    INTEGER NOT NULL,
  exhausted INTEGER NOT NULL,
  took_us   INTEGER NOT NULL,
  latency   BLOB NOT NULL,    -- one varint a class
  PRIMARY KEY (tenant, hour)
) STRICT, WITHOUT ROWID;
