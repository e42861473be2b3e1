-- Scheduled deliveries, batches, pauses, and what people look for.

-- Code that knows schema 1 alone would overlook what is scheduled, and pauses.
UPDATE store SET oldest_code = 2;

ALTER TABLE store ADD COLUMN owner_url TEXT;            -- where the owner's HTTP door is, if it has one

-- Of a message that the row carries, since it is not in the log yet; NULL for all others.
ALTER TABLE deliveries ADD COLUMN message_id TEXT;
ALTER TABLE deliveries ADD COLUMN message_type TEXT;
ALTER TABLE deliveries ADD COLUMN message_sender TEXT;

-- Attempts that were made before an operator had it tried anew.
ALTER TABLE deliveries ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;

-- The key of a scheduled row is its delivery's id below zero. So reading what is at work meets no sleeper, and needs
-- no index that each delivery would have to be written to.
UPDATE deliveries SET id = -id WHERE state = 'scheduled';

CREATE INDEX deliveries_by_message ON deliveries (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX deliveries_scheduled ON deliveries (due_at, id DESC) WHERE state = 'scheduled';
CREATE INDEX deliveries_scheduled_by_lane ON deliveries (lane, id DESC) WHERE state = 'scheduled';
CREATE INDEX deliveries_parked ON deliveries (id) WHERE state = 'parked';

CREATE TABLE items (
    instance INTEGER NOT NULL,
    step INTEGER NOT NULL,
    idx INTEGER NOT NULL,
    item BLOB NOT NULL,
    command_id TEXT NOT NULL,
    command BLOB NOT NULL,
    state TEXT NOT NULL,
    reason TEXT NOT NULL,
    undo BLOB NOT NULL,
    PRIMARY KEY (instance, step, idx)
) STRICT, WITHOUT ROWID;

CREATE INDEX items_by_state ON items (instance, step, state);

CREATE TABLE pauses (
    place INTEGER PRIMARY KEY,
    scope TEXT NOT NULL,
    name TEXT NOT NULL,
    paused_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    UNIQUE (scope, name)
) STRICT;

CREATE INDEX process_search_by_story ON process_search (correlation_id);

-- Attributes by value. The triggers keep it, so that a row without any costs a comparison and no statement.
CREATE TABLE process_attributes (
    name TEXT NOT NULL,
    value TEXT NOT NULL,                -- the text of a string; of everything else its JSON
    number INTEGER NOT NULL,
    PRIMARY KEY (name, value, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX process_attributes_by_process ON process_attributes (number);

CREATE VIEW process_attributes_now AS
SELECT
    s.number, a.key AS name,
    CASE a.type
        WHEN 'text' THEN a.value
        WHEN 'object' THEN a.value
        WHEN 'array' THEN a.value
        ELSE CAST(s.attributes AS TEXT) -> a.fullkey
    END AS value
FROM process_search AS s, json_each(iif(json_valid(CAST(s.attributes AS TEXT)), CAST(s.attributes AS TEXT), '{}')) AS a;

CREATE TRIGGER process_search_inserted AFTER INSERT ON process_search WHEN new.attributes <> x'7b7d' BEGIN
    INSERT OR IGNORE INTO process_attributes (number, name, value)
    SELECT number, name, value FROM process_attributes_now WHERE number = new.number;
END;

CREATE TRIGGER process_search_updated AFTER UPDATE OF attributes ON process_search
WHEN new.attributes <> old.attributes BEGIN
    DELETE FROM process_attributes WHERE number = new.number;
    INSERT OR IGNORE INTO process_attributes (number, name, value)
    SELECT number, name, value FROM process_attributes_now WHERE number = new.number;
END;

INSERT OR IGNORE INTO process_attributes (number, name, value)
SELECT number, name, value FROM process_attributes_now
WHERE number IN (SELECT number FROM process_search WHERE attributes <> x'7b7d');
