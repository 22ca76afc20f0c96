-- What webhooks did not get is found and sent again.

-- +goose Up

-- Deliveries made later than at acceptance: by a resend or a recovery. With the event's own delivery they say whether it arrived.
CREATE TABLE redelivery (
  webhook  INTEGER NOT NULL,
  event    INTEGER NOT NULL, -- the first of the delivery's
  delivery INTEGER NOT NULL,
  PRIMARY KEY (webhook, event, delivery)
) STRICT, WITHOUT ROWID;
CREATE INDEX redelivery_delivery ON redelivery (delivery); -- for retention

CREATE TABLE recovery (
  id      INTEGER PRIMARY KEY, -- made like those of events: it sorts by time
  tenant  INTEGER NOT NULL,
  webhook INTEGER NOT NULL,
  state   TEXT NOT NULL,
  body    TEXT NOT NULL        -- JSON: what was asked for, and how far it has come
) STRICT;
CREATE INDEX recovery_webhook ON recovery (webhook);
CREATE UNIQUE INDEX recovery_open ON recovery (webhook) WHERE state IN ('counting', 'running', 'paused');

-- The times in which webhooks were off by hand, so that nothing was matched for them.
CREATE TABLE off_span (
  webhook INTEGER NOT NULL,
  from_ms INTEGER NOT NULL,
  to_ms   INTEGER, -- null while it is off
  PRIMARY KEY (webhook, from_ms)
) STRICT, WITHOUT ROWID;
-- Those that are off already are off since their last change, as far as anybody knows.
INSERT INTO off_span (webhook, from_ms)
  SELECT key, updated_ms FROM webhook WHERE enabled = 0 AND coalesce(json_extract(settings, '$.disabledReasonCode'), '') = '';
