-- One group of Commits in one call: nothing is asked between, and whoever sends it may stop or die meanwhile.
-- A number below zero is one of this group's own: -1 is its first message, or instance. A mismatch undoes the whole call (SK001).
-- Later versions of the code bring functions of their own names: old workers go on with this one.

CREATE TYPE changed_delivery AS (
    id bigint, expected integer, state text, attempt integer, due_at bigint, crashes integer, error text, spent integer,
    edited boolean, position bigint, more integer
);
CREATE TYPE searched AS (
    number bigint, started_at bigint, updated_at bigint, ended_at bigint, instance text, type text, key text,
    status text, correlation_id text, cause text, reason text, trace_id text, attributes bytea
);
CREATE TYPE moved_checkpoint AS (consumer text, expected bigint, position bigint);
CREATE TYPE kept_item AS (
    instance bigint, step integer, idx integer, item bytea, command_id text, command bytea, state text, reason text,
    undo bytea
);
CREATE TYPE kept_inbox AS (scope text, key text, digest text, answer bytea, expires_at bigint);
CREATE TYPE kept_snapshot AS (stream text, version integer, code text, state bytea);
CREATE TYPE kept_pause AS (scope text, name text, paused_by text, reason text, since bigint);
CREATE TYPE ended_pause AS (scope text, name text);

CREATE FUNCTION write_1(
    me text, my_session bigint, my_routing bigint, my_transaction bigint,
    -- what is finished, given up or forgotten
    done bigint[], done_attempts integer[], withdrawn bigint[], forgotten text[],
    -- the versions that streams must be at, where they are there already
    h_stream text[], h_version integer[],
    -- messages
    m_id text[], m_kind text[], m_type text[], m_payload bytea[], m_correlation_id text[], m_recorded_at bigint[],
    m_version integer[], m_causation_id text[], m_sender text[], m_undoes text[], m_trace text[], m_stream text[],
    m_stream_version integer[], m_expected_version integer[],
    -- deliveries: the arrays from `d_state` on may be empty where all rows have what a new one has
    d_position bigint[], d_consumer text[], d_lane text[], d_partition integer[], d_foreign boolean[], d_more integer[],
    d_state text[], d_due_at bigint[], d_attempt integer[], d_crashes integer[], d_error text[], d_carried bytea[],
    d_message_id text[], d_message_type text[], d_message_sender text[], d_spent integer[],
    -- instances that are new, and those that move on
    p_id text[], p_type text[], p_key text[], p_definition integer[], p_version integer[], p_status text[],
    p_state bytea[],
    u_number bigint[], u_expected integer[], u_definition integer[], u_version integer[], u_status text[],
    u_state bytea[],
    -- their history
    r_instance bigint[], r_version integer[], r_first_input bigint[], r_inputs integer[], r_first_output bigint[],
    r_outputs integer[],
    -- and what most groups have little of
    new_searches searched[], new_changes changed_delivery[], new_inbox kept_inbox[], new_items kept_item[],
    new_pauses kept_pause[], new_ends ended_pause[], new_snapshots kept_snapshot[], new_checkpoints moved_checkpoint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    messages_of integer := cardinality(m_id);
    deliveries_of integer := cardinality(d_consumer);
    instances_of integer := cardinality(p_id);
    taken integer := messages_of + deliveries_of + instances_of;
    zero bigint := 0;                   -- the number before the first
    zero_of_messages bigint;
    found_routing bigint;
    matched integer;
BEGIN
    -- First what can be seen without writing: it fails cheaply.
    IF cardinality(new_inbox) > 0 AND EXISTS (
        SELECT FROM unnest(new_inbox) AS e JOIN inbox AS i ON i.scope = e.scope AND i.key = e.key
    ) THEN
        RETURN -1;
    END IF;
    IF cardinality(h_stream) > 0 AND EXISTS (
        SELECT FROM unnest(h_stream, h_version) AS h (stream, version)
        WHERE NOT EXISTS (SELECT FROM messages AS m WHERE m.stream = h.stream AND m.stream_version = h.version)
    ) THEN
        RETURN -1;
    END IF;
    IF cardinality(new_checkpoints) > 0 AND EXISTS (
        SELECT FROM unnest(new_checkpoints) AS n
        WHERE n.expected <> coalesce((SELECT c.position FROM checkpoints AS c WHERE c.consumer = n.consumer), 0)
    ) THEN
        RETURN -1;
    END IF;

    IF taken > 0 THEN
        PERFORM pg_advisory_lock(1396787019, 1853189986);   -- held for these two calls: the numbers are contiguous
        zero := nextval('numbers') - 1;
        PERFORM setval('numbers', zero + taken);
        PERFORM pg_advisory_unlock(1396787019, 1853189986);
    END IF;

    zero_of_messages := zero + instances_of;

    UPDATE workers AS w SET transactions = my_transaction, base = zero
    WHERE w.id = me AND w.session = my_session RETURNING w.routing INTO found_routing;
    IF found_routing IS NULL THEN
        RAISE EXCEPTION 'worker % was expelled', me USING ERRCODE = 'SK002';
    ELSIF my_routing > 0 AND found_routing <> my_routing THEN
        RAISE EXCEPTION 'new subscriptions stand' USING ERRCODE = 'SK003';
    END IF;

    IF cardinality(forgotten) > 0 THEN
        DELETE FROM deliveries AS d WHERE d.message_id = ANY (forgotten) AND d.state = 'scheduled';
    END IF;
    IF cardinality(done) > 0 THEN
        DELETE FROM deliveries AS d USING unnest(done, done_attempts) AS f (id, attempt)
        WHERE d.id = f.id AND d.attempt = f.attempt;
        GET DIAGNOSTICS matched = ROW_COUNT;
        IF matched <> cardinality(done) THEN
            RAISE EXCEPTION 'a delivery is gone' USING ERRCODE = 'SK001';
        END IF;
    END IF;
    IF cardinality(new_changes) > 0 THEN
        UPDATE deliveries AS d SET
            state = c.state, attempt = c.attempt, due_at = c.due_at, crashes = c.crashes, error = c.error,
            spent = coalesce(c.spent, d.spent),
            position = CASE WHEN c.edited THEN CASE WHEN c.position < 0 THEN zero_of_messages - c.position ELSE c.position END
                ELSE d.position END,
            more = CASE WHEN c.edited THEN c.more ELSE d.more END,
            carried = CASE WHEN c.edited THEN NULL ELSE d.carried END,
            message_id = CASE WHEN c.edited THEN NULL ELSE d.message_id END,
            message_type = CASE WHEN c.edited THEN NULL ELSE d.message_type END,
            message_sender = CASE WHEN c.edited THEN NULL ELSE d.message_sender END
        FROM unnest(new_changes) AS c WHERE d.id = c.id AND d.attempt = c.expected;
        GET DIAGNOSTICS matched = ROW_COUNT;
        IF matched <> cardinality(new_changes) THEN
            RAISE EXCEPTION 'a delivery is gone' USING ERRCODE = 'SK001';
        END IF;
    END IF;

    IF cardinality(withdrawn) > 0 THEN
        DELETE FROM deliveries AS d WHERE d.id = ANY (withdrawn);
    END IF;

    IF cardinality(u_number) > 0 THEN
        UPDATE processes AS p SET definition = u.definition, version = u.version, status = u.status, state = u.state
        FROM unnest(u_number, u_expected, u_definition, u_version, u_status, u_state)
            AS u (number, expected, definition, version, status, state)
        WHERE p.number = u.number AND p.version = u.expected;
        GET DIAGNOSTICS matched = ROW_COUNT;
        IF matched <> cardinality(u_number) THEN
            RAISE EXCEPTION 'an instance has moved on' USING ERRCODE = 'SK001';
        END IF;
    END IF;
    IF instances_of > 0 THEN
        INSERT INTO processes (number, id, type, key, definition, version, status, state)
        SELECT zero + n.place, n.id, n.type, n.key, n.definition, n.version, n.status, n.state
        FROM unnest(p_id, p_type, p_key, p_definition, p_version, p_status, p_state) WITH ORDINALITY
            AS n (id, type, key, definition, version, status, state, place);
    END IF;

    IF messages_of > 0 THEN
        INSERT INTO messages (
            position, id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes,
            trace, stream, stream_version, expected_version
        )
        SELECT
            zero_of_messages + n.place, n.id, n.kind, n.type, n.payload, n.correlation_id, n.recorded_at, n.version,
            n.causation_id, n.sender, n.undoes, n.trace, n.stream, n.stream_version, n.expected_version
        FROM unnest(
            m_id, m_kind, m_type, m_payload, m_correlation_id, m_recorded_at, m_version, m_causation_id, m_sender,
            m_undoes, m_trace, m_stream, m_stream_version, m_expected_version
        ) WITH ORDINALITY AS n (
            id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace, stream,
            stream_version, expected_version, place
        );
    END IF;
    IF deliveries_of > 0 THEN
        INSERT INTO deliveries (
            id, position, consumer, lane, partition, arrived, writer, more, state, due_at, attempt, crashes, error, carried,
            message_id, message_type, message_sender, spent
        )
        SELECT
            zero_of_messages + messages_of + n.place,
            CASE WHEN n.position < 0 THEN zero_of_messages - n.position ELSE n.position END, n.consumer, n.lane, n.partition,
            CASE WHEN n.is_foreign THEN pg_current_xact_id() END, CASE WHEN n.is_foreign THEN me END, n.more,
            coalesce(n.state, 'ready'),
            coalesce(n.due_at, 0), coalesce(n.attempt, 1), coalesce(n.crashes, 0), n.error, n.carried, n.message_id,
            n.message_type, n.message_sender, coalesce(n.spent, 0)
        FROM unnest(
            d_position, d_consumer, d_lane, d_partition, d_foreign, d_more, d_state, d_due_at, d_attempt, d_crashes,
            d_error, d_carried, d_message_id, d_message_type, d_message_sender, d_spent
        ) WITH ORDINALITY AS n (
            position, consumer, lane, partition, is_foreign, more, state, due_at, attempt, crashes, error, carried,
            message_id, message_type, message_sender, spent, place
        );
    END IF;
    IF cardinality(r_instance) > 0 THEN
        INSERT INTO reactions (instance, version, first_input, inputs, first_output, outputs)
        SELECT
            CASE WHEN n.instance < 0 THEN zero - n.instance ELSE n.instance END, n.version,
            CASE WHEN n.first_input < 0 THEN zero_of_messages - n.first_input ELSE n.first_input END, n.inputs,
            CASE WHEN n.first_output < 0 THEN zero_of_messages - n.first_output ELSE n.first_output END, n.outputs
        FROM unnest(r_instance, r_version, r_first_input, r_inputs, r_first_output, r_outputs)
            AS n (instance, version, first_input, inputs, first_output, outputs);
    END IF;
    IF cardinality(new_searches) > 0 THEN
        INSERT INTO process_search AS s (
            number, started_at, updated_at, ended_at, instance, type, key, status, correlation_id, cause, reason,
            trace_id, attributes
        )
        SELECT
            CASE WHEN n.number < 0 THEN zero - n.number ELSE n.number END, n.started_at, n.updated_at, n.ended_at,
            n.instance, n.type, n.key, n.status, n.correlation_id, n.cause, n.reason, n.trace_id, n.attributes
        FROM unnest(new_searches) AS n
        ON CONFLICT (number) DO UPDATE SET
            started_at = excluded.started_at, updated_at = excluded.updated_at, ended_at = excluded.ended_at,
            status = excluded.status, cause = excluded.cause, reason = excluded.reason, trace_id = excluded.trace_id,
            attributes = excluded.attributes;
    END IF;
    IF cardinality(new_inbox) > 0 THEN
        INSERT INTO inbox (scope, key, digest, answer, expires_at) SELECT * FROM unnest(new_inbox);
    END IF;
    IF cardinality(new_items) > 0 THEN
        INSERT INTO items (instance, step, idx, item, command_id, command, state, reason, undo)
        SELECT
            CASE WHEN n.instance < 0 THEN zero - n.instance ELSE n.instance END, n.step, n.idx, n.item, n.command_id,
            n.command, n.state, n.reason, n.undo
        FROM unnest(new_items) AS n
        ON CONFLICT (instance, step, idx) DO UPDATE SET
            item = excluded.item, command_id = excluded.command_id, command = excluded.command, state = excluded.state,
            reason = excluded.reason, undo = excluded.undo;
    END IF;
    IF cardinality(new_ends) > 0 THEN
        DELETE FROM pauses AS p USING unnest(new_ends) AS n WHERE p.scope = n.scope AND p.name = n.name;
    END IF;
    IF cardinality(new_pauses) > 0 THEN
        INSERT INTO pauses (scope, name, paused_by, reason, since) SELECT * FROM unnest(new_pauses)
        ON CONFLICT (scope, name) DO UPDATE SET
            paused_by = excluded.paused_by, reason = excluded.reason, since = excluded.since;
    END IF;
    IF cardinality(new_snapshots) > 0 THEN
        INSERT INTO snapshots AS s (stream, version, code, state) SELECT * FROM unnest(new_snapshots)
        ON CONFLICT (stream) DO UPDATE SET version = excluded.version, code = excluded.code, state = excluded.state
        WHERE excluded.version >= s.version;
    END IF;
    IF cardinality(new_checkpoints) > 0 THEN
        INSERT INTO checkpoints AS c (consumer, position) SELECT n.consumer, n.position FROM unnest(new_checkpoints) AS n
        ON CONFLICT (consumer) DO UPDATE SET position = excluded.position
        WHERE c.position = (SELECT n.expected FROM unnest(new_checkpoints) AS n WHERE n.consumer = c.consumer);
        GET DIAGNOSTICS matched = ROW_COUNT;
        IF matched <> cardinality(new_checkpoints) THEN
            RAISE EXCEPTION 'a checkpoint has moved on' USING ERRCODE = 'SK001';
        END IF;
    END IF;
    IF cardinality(forgotten) > 0 AND deliveries_of + coalesce(cardinality(new_changes), 0) > 0 THEN
        DELETE FROM deliveries AS d WHERE d.message_id = ANY (forgotten) AND d.state = 'scheduled';
    END IF;
    RETURN zero;
END $$;
