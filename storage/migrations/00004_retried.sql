-- A webhook's open deliveries that were tried are listed in the order of their numbers. Those that arrive at once are never in here.

-- +goose Up
CREATE INDEX work_tried ON work (webhook) WHERE tries > 0;
