-- Keys are given by the owning store, so nothing is read back; all of them grow, so that writes stay on hot pages.

CREATE TABLE store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    schema_version INTEGER NOT NULL,
    oldest_code INTEGER NOT NULL,       -- the oldest code, by the schema it knows, that may still open this
    epoch INTEGER NOT NULL,             -- counts the owners
    clean INTEGER NOT NULL,             -- the last owner ended with nothing running
    owner_pid INTEGER,
    transactions INTEGER NOT NULL,      -- counts the groups of Commits: tells after a lost answer what was written
    last_position INTEGER NOT NULL,     -- the highest keys ever given: none is given twice
    last_delivery INTEGER NOT NULL,
    last_instance INTEGER NOT NULL
) STRICT;

INSERT INTO store VALUES (1, 0, 1, 0, 1, NULL, 0, 0, 0, 0);

-- The log, append only. No unique index on ids: the delivery row is the fence.
CREATE TABLE messages (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    type TEXT NOT NULL,
    payload BLOB NOT NULL,
    correlation_id TEXT NOT NULL,
    recorded_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    causation_id TEXT,
    sender TEXT,
    undoes TEXT,
    trace TEXT,
    stream TEXT,
    stream_version INTEGER,
    expected_version INTEGER
) STRICT;

CREATE INDEX messages_by_story ON messages (correlation_id);
CREATE UNIQUE INDEX messages_by_stream ON messages (stream, stream_version) WHERE stream IS NOT NULL;

-- What is still to be done. Small: a row leaves when its consumer has committed.
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    position INTEGER,                   -- NULL: the message is not in the log yet, the row carries it
    more INTEGER NOT NULL,              -- how many messages that follow in the log belong to it
    consumer TEXT NOT NULL,
    lane TEXT NOT NULL,
    partition INTEGER NOT NULL,         -- crc32(lane) % 256, never changed
    state TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    crashes INTEGER NOT NULL,
    error TEXT,
    carried BLOB
) STRICT;

CREATE TABLE processes (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    definition INTEGER NOT NULL,
    version INTEGER NOT NULL,
    status TEXT NOT NULL,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE process_search (
    number INTEGER PRIMARY KEY,
    instance TEXT NOT NULL,
    type TEXT NOT NULL,
    key TEXT NOT NULL,
    status TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    ended_at INTEGER,
    cause TEXT NOT NULL,
    reason TEXT NOT NULL,
    trace_id TEXT,
    attributes BLOB NOT NULL
) STRICT;

CREATE INDEX process_search_by_key ON process_search (key);
CREATE INDEX process_search_by_status ON process_search (status);
CREATE INDEX process_search_by_trace ON process_search (trace_id) WHERE trace_id IS NOT NULL;

-- An instance's history: both lists of a reaction are contiguous in the log.
CREATE TABLE reactions (
    instance INTEGER NOT NULL,
    version INTEGER NOT NULL,
    first_input INTEGER NOT NULL,
    inputs INTEGER NOT NULL,
    first_output INTEGER NOT NULL,
    outputs INTEGER NOT NULL,
    PRIMARY KEY (instance, version)
) STRICT, WITHOUT ROWID;

CREATE TABLE inbox (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    digest TEXT NOT NULL,
    answer BLOB NOT NULL,
    expires_at INTEGER,
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    stream TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    code TEXT NOT NULL,
    state BLOB NOT NULL
) STRICT;

CREATE TABLE subscriptions (
    consumer TEXT NOT NULL,
    type TEXT NOT NULL,
    since INTEGER NOT NULL,
    PRIMARY KEY (consumer, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    consumer TEXT PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
