-- Events that wait in an interval are found by their number when pending ones are searched.

-- +goose Up
CREATE INDEX member_event ON member (event);
