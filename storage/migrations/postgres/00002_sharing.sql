-- What nodes share beside the work: how often webhooks with a limit may still be tried, and the built-in receivers. None of it outlives a crash
-- of the database, so none of it is logged: a bucket that is missing is a full one, of a second or of one attempt.

-- +goose Up
-- What is left of a webhook's limit, for all nodes: see pgrate.go.
CREATE UNLOGGED TABLE rate (
  webhook   bigint PRIMARY KEY,
  tokens    double precision NOT NULL, -- attempts that could be made
  filled_ms bigint NOT NULL            -- when that was so
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);

CREATE UNLOGGED TABLE receiver (
  token    text COLLATE "C" PRIMARY KEY,
  tenant   bigint NOT NULL,
  made_ms  bigint NOT NULL,
  used_ms  bigint NOT NULL, -- when something last arrived or was looked at
  received bigint NOT NULL, -- how many arrived; the number of the last
  body     text NOT NULL    -- all else, sealed under the key file
);

CREATE UNLOGGED TABLE arrival (
  token  text COLLATE "C" NOT NULL REFERENCES receiver (token) ON DELETE CASCADE,
  number bigint NOT NULL,
  size   bigint NOT NULL, -- of the body and the headers, in bytes
  body   text NOT NULL,   -- sealed
  PRIMARY KEY (token, number)
);

-- +goose Down
