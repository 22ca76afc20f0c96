-- Members say which of them go together into a delivery, and how large they are, so that the end of an interval need not look at the events.
-- Nothing planned any before this.

-- +goose Up
DROP TABLE member;
CREATE TABLE member (
  event    INTEGER NOT NULL,
  webhook  INTEGER NOT NULL,
  until_ms INTEGER NOT NULL,
  line     TEXT NOT NULL,
  size     INTEGER NOT NULL, -- of the event's body, in bytes
  tenant   INTEGER NOT NULL,
  revision INTEGER NOT NULL,
  trigger  INTEGER NOT NULL,
  PRIMARY KEY (event, webhook)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_until ON member (until_ms, webhook, line, event);
