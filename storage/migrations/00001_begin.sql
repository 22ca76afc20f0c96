-- The fixed tables. What belongs to one day lies in tables of that day, see days.go.

-- +goose Up
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenant (
  key        INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL UNIQUE,
  portal_id  TEXT NOT NULL UNIQUE,
  portal_url TEXT NOT NULL,
  server_url TEXT NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE api_key (
  id         TEXT PRIMARY KEY,
  hash       BLOB NOT NULL UNIQUE,
  tenant     INTEGER NOT NULL REFERENCES tenant (key),
  name       TEXT NOT NULL,
  role       TEXT NOT NULL,
  operator   INTEGER NOT NULL,
  user_id    TEXT NOT NULL,
  user_name  TEXT NOT NULL,
  expires_ms INTEGER,
  revoked    INTEGER NOT NULL,
  created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- AUTOINCREMENT, so that the key of a deleted webhook is never given to another: history and counters go by it.
CREATE TABLE webhook (
  key         INTEGER PRIMARY KEY AUTOINCREMENT,
  id          BLOB NOT NULL UNIQUE,
  tenant      INTEGER NOT NULL REFERENCES tenant (key),
  revision    INTEGER NOT NULL,
  name        TEXT NOT NULL,
  name_folded TEXT NOT NULL,
  url         TEXT NOT NULL,
  url_folded  TEXT NOT NULL,
  enabled     INTEGER NOT NULL,
  level       TEXT NOT NULL,
  owner_id    TEXT NOT NULL,
  origin      TEXT NOT NULL,
  created_by  TEXT NOT NULL,
  updated_by  TEXT NOT NULL,
  created_ms  INTEGER NOT NULL,
  updated_ms  INTEGER NOT NULL,
  triggers    TEXT NOT NULL, -- JSON array of their texts
  settings    TEXT NOT NULL, -- JSON: all that lists neither filter nor sort by
  secrets     TEXT           -- JSON: what is sealed under the key file
) STRICT;
CREATE INDEX webhook_tenant ON webhook (tenant, created_ms);

-- A deleted webhook's revisions stay as long as its history, so there is no reference to webhook.
CREATE TABLE revision (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook  INTEGER NOT NULL,
  body     TEXT NOT NULL, -- JSON
  ended_ms INTEGER        -- when another took its place, or it was last resent after that; null while it is the present one
) STRICT;
CREATE INDEX revision_ended ON revision (ended_ms) WHERE ended_ms IS NOT NULL;

-- Open work. It is deleted when it ends, and its history written to the table of its day; retention never touches it.
CREATE TABLE work (
  id          INTEGER PRIMARY KEY,
  tenant      INTEGER NOT NULL,
  webhook     INTEGER NOT NULL,
  event       INTEGER NOT NULL,           -- the first of its events
  members     INTEGER NOT NULL,           -- how many rows of delivery_event name its events; 0: event is all
  revision    INTEGER NOT NULL,
  trigger     INTEGER NOT NULL,
  built_ms    INTEGER NOT NULL,
  tries       INTEGER NOT NULL,
  fence       INTEGER NOT NULL,
  due_ms      INTEGER,                    -- null while it is leased
  status_code INTEGER NOT NULL,           -- of the last finished attempt
  started_ms  INTEGER NOT NULL,           -- of the last finished attempt
  reason      TEXT NOT NULL,
  first       BLOB                        -- the first attempt; later ones are in the attempt table of the day
) STRICT;
-- An index ends in the row's id by itself: in each webhook's line, the earliest due first, then the oldest.
CREATE INDEX work_due ON work (webhook, due_ms) WHERE due_ms IS NOT NULL;

-- Events that wait for the end of a scheduled webhook's interval.
CREATE TABLE member (
  webhook  INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  event    INTEGER NOT NULL,
  tenant   INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  trigger  INTEGER NOT NULL,
  PRIMARY KEY (until_ms, webhook, event)
) STRICT, WITHOUT ROWID;

-- The events of a delivery that an interval's end made.
CREATE TABLE delivery_event (
  delivery INTEGER NOT NULL,
  event    INTEGER NOT NULL,
  PRIMARY KEY (delivery, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_event_event ON delivery_event (event);

-- The hour comes first, so that what is written now lies together; one webhook's hours are looked up one by one.
CREATE TABLE hour (
  hour      INTEGER NOT NULL, -- since 1970
  webhook   INTEGER NOT NULL,
  attempts  INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  failed    INTEGER NOT NULL,
  exhausted INTEGER NOT NULL,
  latency   BLOB NOT NULL,    -- one varint a class
  PRIMARY KEY (hour, webhook)
) STRICT, WITHOUT ROWID;
