-- How webhooks have failed since they were last switched on. Written when one begins to fail, gives a delivery up or is well again; a
-- webhook that has not failed has no row.

-- +goose Up
CREATE TABLE health (
  webhook    INTEGER PRIMARY KEY,
  failing_ms INTEGER NOT NULL, -- since when; 0: its last attempt succeeded
  gave_up    INTEGER NOT NULL, -- a delivery ran out of attempts since then
  exhausted  BLOB              -- when deliveries did: a varint each, by how much later than the one before
) STRICT;
