-- How far webhooks have come on their way to being switched off, and how they are probed when they are off.

-- +goose Up
ALTER TABLE health ADD COLUMN warned INTEGER NOT NULL DEFAULT 0; -- the last step of the way that a failure came to, in percent
ALTER TABLE health ADD COLUMN told INTEGER NOT NULL DEFAULT 0;   -- the last that an event of our own has told of
ALTER TABLE health ADD COLUMN probe TEXT;                        -- JSON; null: there is none
