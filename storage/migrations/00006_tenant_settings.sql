-- What a portal says of its webhooks and of its payloads.

-- +goose Up
ALTER TABLE tenant ADD COLUMN settings TEXT NOT NULL DEFAULT '{}'; -- JSON
