-- Every name is looked up in the store's own schema, which the connection's search_path begins with.

CREATE TABLE store (
    single boolean PRIMARY KEY CHECK (single),
    schema_version integer NOT NULL,
    oldest_code integer NOT NULL,       -- the oldest code, by the schema it knows, that may still open this
    clean boolean NOT NULL,             -- the last one that owned it alone ended with nothing running
    routing bigint NOT NULL             -- the version of the subscriptions: grows with each new one
);

COMMENT ON TABLE store IS 'sagakit store';
INSERT INTO store VALUES (true, 0, 1, true, 1);

-- One sequence for positions, delivery ids and instance numbers: a Commit takes all that it needs at once.
CREATE SEQUENCE numbers AS bigint;

-- A worker's row is its fence: each transaction of its Commits writes its number here first, or is dropped.
CREATE TABLE workers (
    id text PRIMARY KEY,
    alone boolean NOT NULL,             -- it owns the store alone: its lease is a lock of its connection
    session bigint NOT NULL,            -- its connection that writes: what an earlier one still sends is dropped
    routing bigint NOT NULL,            -- the version of the subscriptions that it must route by
    transactions bigint NOT NULL,       -- the newest of its transactions, and the first number that this took:
    base bigint NOT NULL,               -- tells after a lost answer what was written
    name text NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    app text NOT NULL,
    versions text NOT NULL,
    url text,
    declares text[] NOT NULL,
    takes jsonb NOT NULL,               -- its subscriptions: [[consumer, type], ...]
    lasts bigint NOT NULL,
    joined_at bigint NOT NULL,
    renewed_at bigint NOT NULL,
    expires_at bigint NOT NULL
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE TABLE leases (
    consumer text NOT NULL,
    partition integer NOT NULL,
    worker text,
    clean boolean NOT NULL,             -- the last owner released it with nothing running
    PRIMARY KEY (consumer, partition)
);

-- The log, append only. No unique index on ids: the delivery row is the fence.
CREATE TABLE messages (
    position bigint PRIMARY KEY,
    recorded_at bigint NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),     -- readers with a cursor go by (xid, position), below xmin
    version integer NOT NULL,
    stream_version integer,
    expected_version integer,
    id text NOT NULL,
    kind text NOT NULL,
    type text NOT NULL,
    payload bytea NOT NULL,
    correlation_id text NOT NULL,
    causation_id text,
    sender text,
    undoes text,
    trace text,
    stream text
);

CREATE INDEX messages_by_story ON messages (correlation_id, position);
CREATE INDEX messages_by_transaction ON messages (xid, position);
CREATE UNIQUE INDEX messages_by_stream ON messages (stream, stream_version) WHERE stream IS NOT NULL;

-- What is still to be done. Small: a row leaves when its consumer has committed.
CREATE TABLE deliveries (
    id bigint PRIMARY KEY,
    position bigint,                    -- NULL: the message is not in the log yet, the row carries it
    due_at bigint NOT NULL,
    arrived xid8,                       -- the transaction that wrote it, and the worker,
    writer text,                        -- if that did not own its partition
    more integer NOT NULL,              -- how many messages that follow in the log belong to it
    partition integer NOT NULL,
    attempt integer NOT NULL,
    crashes integer NOT NULL,
    spent integer NOT NULL,
    consumer text NOT NULL,
    lane text NOT NULL,
    state text NOT NULL,
    error text,
    carried bytea,
    message_id text,                    -- of a message that the row carries; NULL for all others
    message_type text,
    message_sender text
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX deliveries_by_message ON deliveries (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX deliveries_scheduled ON deliveries (due_at, id) WHERE state = 'scheduled';
CREATE INDEX deliveries_scheduled_by_lane ON deliveries USING hash (lane) WHERE state = 'scheduled';
CREATE INDEX deliveries_parked ON deliveries (id) WHERE state = 'parked';
CREATE INDEX deliveries_by_position ON deliveries (position) WHERE position IS NOT NULL;
CREATE INDEX deliveries_arrived ON deliveries (arrived) WHERE arrived IS NOT NULL;

CREATE TABLE processes (
    number bigint PRIMARY KEY,
    definition integer NOT NULL,
    version integer NOT NULL,
    id text NOT NULL UNIQUE,
    type text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    state bytea NOT NULL
) WITH (fillfactor = 60);

CREATE TABLE process_search (
    number bigint PRIMARY KEY,
    started_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    ended_at bigint,
    instance text NOT NULL,
    type text NOT NULL,
    key text NOT NULL,
    status text NOT NULL,
    correlation_id text NOT NULL,
    cause text NOT NULL,
    reason text NOT NULL,
    trace_id text,
    attributes bytea NOT NULL
) WITH (fillfactor = 80);

-- keys may be longer than a row of a B-tree
CREATE INDEX process_search_by_key ON process_search USING hash (key);
CREATE INDEX process_search_by_status ON process_search (status, number);
CREATE INDEX process_search_by_trace ON process_search (trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX process_search_by_story ON process_search (correlation_id);

CREATE TABLE process_attributes (
    name text NOT NULL,
    value text NOT NULL,                -- the text of a string; of everything else its JSON
    number bigint NOT NULL,
    PRIMARY KEY (number, name)
);

CREATE INDEX process_attributes_by_value ON process_attributes (left(name, 100), left(value, 100), number);

-- An instance's history: both lists of a reaction are contiguous in the log.
CREATE TABLE reactions (
    instance bigint NOT NULL,
    first_input bigint NOT NULL,
    first_output bigint NOT NULL,
    version integer NOT NULL,
    inputs integer NOT NULL,
    outputs integer NOT NULL,
    PRIMARY KEY (instance, version)
);

CREATE TABLE inbox (
    scope text NOT NULL,
    key text NOT NULL,
    digest text NOT NULL,
    answer bytea NOT NULL,
    expires_at bigint,
    PRIMARY KEY (scope, key)
);

CREATE TABLE items (
    instance bigint NOT NULL,
    step integer NOT NULL,
    idx integer NOT NULL,
    item bytea NOT NULL,
    command_id text NOT NULL,
    command bytea NOT NULL,
    state text NOT NULL,
    reason text NOT NULL,
    undo bytea NOT NULL,
    PRIMARY KEY (instance, step, idx)
) WITH (fillfactor = 80);

CREATE INDEX items_by_state ON items (instance, step, state, idx);

CREATE TABLE pauses (
    scope text NOT NULL,
    name text NOT NULL,
    paused_by text NOT NULL,
    reason text NOT NULL,
    since bigint NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (scope, name)
);

CREATE TABLE snapshots (
    stream text PRIMARY KEY,
    version integer NOT NULL,
    code text NOT NULL,
    state bytea NOT NULL
);

CREATE TABLE subscriptions (
    consumer text NOT NULL,
    type text NOT NULL,
    since bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    app text NOT NULL,
    PRIMARY KEY (consumer, type)
);

CREATE TABLE checkpoints (
    consumer text PRIMARY KEY,
    position bigint NOT NULL
);

-- Attributes by value, kept by triggers, so that a row without any costs a comparison and no statement.
CREATE FUNCTION keep_attributes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM process_attributes WHERE number = new.number;
    END IF;
    INSERT INTO process_attributes (number, name, value)
    SELECT new.number, each.key, CASE json_typeof(each.value) WHEN 'string' THEN each.value #>> '{}' ELSE each.value::text END
    FROM json_each(convert_from(new.attributes, 'UTF8')::json) AS each
    ON CONFLICT DO NOTHING;
    RETURN NULL;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;                        -- no JSON, or none that text can hold: they are kept, and not searched by
END $$;

CREATE TRIGGER process_search_inserted AFTER INSERT ON process_search
FOR EACH ROW WHEN (new.attributes <> '\x7b7d') EXECUTE FUNCTION keep_attributes();

CREATE TRIGGER process_search_updated AFTER UPDATE OF attributes ON process_search
FOR EACH ROW WHEN (new.attributes <> old.attributes) EXECUTE FUNCTION keep_attributes();
