-- Every statement of the store, by name. `:row` is one row of values; writing.py repeats it.

-- name: begin
BEGIN IMMEDIATE

-- name: commit
COMMIT

-- name: read_store
SELECT schema_version, oldest_code, epoch, clean, owner_pid, transactions, last_position, last_delivery, last_instance
FROM store

-- name: take_ownership
UPDATE store SET epoch = epoch + 1, clean = 0, owner_pid = ?, owner_url = NULL RETURNING epoch

-- name: give_up_ownership
UPDATE store SET clean = ?, owner_pid = NULL, owner_url = NULL WHERE epoch = ?

-- name: announce
UPDATE store SET owner_url = ? WHERE epoch = ?

-- name: read_owner
SELECT owner_pid, owner_url FROM store

-- name: count_transaction
UPDATE store SET transactions = ?, last_position = ?, last_delivery = ?, last_instance = ? WHERE epoch = ?

-- name: known_deliveries
SELECT json_group_array(json_array(d.id, d.attempt))
FROM json_each(?) AS wanted CROSS JOIN deliveries AS d ON d.id IN (wanted.value, -wanted.value)

-- name: known_carried
SELECT json_group_array(json_array(message_id, id)) FROM deliveries
WHERE message_id IN (SELECT value FROM json_each(?))

-- name: known_instances
SELECT json_group_array(json_array(id, number, version)) FROM processes WHERE id IN (SELECT value FROM json_each(?))

-- name: known_streams
SELECT json_group_array(json_array(value, (SELECT max(stream_version) FROM messages WHERE stream = value)))
FROM json_each(?)

-- name: known_checkpoints
SELECT json_group_array(json_array(consumer, position)) FROM checkpoints

-- name: write_messages
INSERT INTO messages (
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
) VALUES :row

-- name: write_deliveries
INSERT INTO deliveries (
    id, position, more, consumer, lane, partition, state, due_at, attempt, crashes, error, carried
) VALUES :row

-- name: write_rare_deliveries
INSERT INTO deliveries (
    id, position, more, consumer, lane, partition, state, due_at, attempt, crashes, error,
    carried, message_id, message_type, message_sender, spent
) VALUES :row

-- name: write_processes
INSERT INTO processes (id, type, key, definition, version, status, state, number) VALUES :row
ON CONFLICT (number) DO UPDATE SET
    definition = excluded.definition, version = excluded.version, status = excluded.status, state = excluded.state

-- name: write_search
INSERT INTO process_search (
    number, instance, type, key, status, correlation_id, started_at, updated_at, ended_at, cause, reason, trace_id,
    attributes
) VALUES :row
-- type, key and correlation_id stay: an index is written anew for each column that is set, changed or not
ON CONFLICT (number) DO UPDATE SET
    status = excluded.status, started_at = excluded.started_at, updated_at = excluded.updated_at,
    ended_at = excluded.ended_at, cause = excluded.cause, reason = excluded.reason, trace_id = excluded.trace_id,
    attributes = excluded.attributes

-- name: write_reactions
INSERT INTO reactions (instance, version, first_input, inputs, first_output, outputs) VALUES :row

-- name: write_inbox
INSERT INTO inbox (scope, key, digest, answer, expires_at) VALUES :row

-- name: write_snapshots
INSERT INTO snapshots (stream, version, code, state) VALUES :row
ON CONFLICT (stream) DO UPDATE SET version = excluded.version, code = excluded.code, state = excluded.state
WHERE excluded.version >= version

-- name: write_checkpoints
INSERT INTO checkpoints (consumer, position) VALUES :row
ON CONFLICT (consumer) DO UPDATE SET position = excluded.position

-- name: write_items
INSERT INTO items (instance, step, idx, item, command_id, command, state, reason, undo) VALUES :row
ON CONFLICT (instance, step, idx) DO UPDATE SET
    item = excluded.item, command_id = excluded.command_id, command = excluded.command, state = excluded.state,
    reason = excluded.reason, undo = excluded.undo

-- name: write_pauses
INSERT INTO pauses (scope, name, paused_by, reason, since) VALUES :row
ON CONFLICT (scope, name) DO UPDATE SET
    paused_by = excluded.paused_by, reason = excluded.reason, since = excluded.since

-- name: delete_pause
DELETE FROM pauses WHERE scope = ? AND name = ?

-- name: change_delivery
UPDATE deliveries SET
    state = ?2, attempt = ?3, due_at = ?4, crashes = ?5, error = ?6, spent = coalesce(?7, spent)
WHERE id = ?8

-- name: move_delivery
UPDATE deliveries SET
    id = ?1, state = ?2, attempt = ?3, due_at = ?4, crashes = ?5, error = ?6, spent = coalesce(?7, spent)
WHERE id = ?8

-- name: edit_delivery
UPDATE deliveries SET
    position = ?, more = ?, carried = NULL, message_id = NULL, message_type = NULL, message_sender = NULL
WHERE id = ?

-- name: delete_deliveries
DELETE FROM deliveries WHERE id IN (SELECT value FROM json_each(?))

-- name: deliveries_of_page
SELECT
    abs(d.id), d.consumer, d.lane, d.state, d.due_at, d.attempt, d.crashes, d.error, d.carried, d.spent, d.partition,
    m.id, m.kind, m.type, m.payload, m.correlation_id, m.recorded_at, m.version, m.causation_id, m.sender, m.undoes,
    m.trace, m.stream, m.stream_version, m.expected_version, m.position
FROM (:page) AS page
CROSS JOIN deliveries AS d USING (id)
LEFT JOIN messages AS m ON m.position BETWEEN d.position AND d.position + d.more
ORDER BY :order, m.position

-- name: page_outstanding
SELECT id FROM deliveries WHERE id > max(:after, 0) ORDER BY id LIMIT :limit

-- name: page_owned
SELECT id FROM deliveries
WHERE id > max(:after, 0) AND (consumer, partition) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:of))
ORDER BY id LIMIT :limit

-- name: page_scheduled_owned
SELECT due_at, id FROM deliveries INDEXED BY deliveries_scheduled
WHERE
    state = 'scheduled' AND (due_at > :due_at OR due_at = :due_at AND id < -:after)
    AND (consumer, partition) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:of))
ORDER BY due_at, id DESC LIMIT :limit

-- name: page_scheduled
-- not (due_at, -id) > (?, ?): that would go through all that are due at once, again for each page
SELECT due_at, id FROM deliveries INDEXED BY deliveries_scheduled
WHERE state = 'scheduled' AND due_at = :due_at AND id < -:after
UNION ALL
SELECT due_at, id FROM deliveries INDEXED BY deliveries_scheduled
WHERE state = 'scheduled' AND due_at > :due_at
ORDER BY due_at, id DESC LIMIT :limit

-- name: page_delivery
SELECT id FROM deliveries WHERE id IN (:id, -:id)

-- name: page_awake
SELECT d.id AS id FROM deliveries AS d NOT INDEXED LEFT JOIN messages AS m ON m.position = d.position
WHERE d.id > max(:after, 0) AND :filters ORDER BY d.id LIMIT :limit

-- name: page_parked
SELECT d.id AS id
FROM deliveries AS d INDEXED BY deliveries_parked LEFT JOIN messages AS m ON m.position = d.position
WHERE d.state = 'parked' AND d.id > max(:after, 0) AND :filters ORDER BY d.id LIMIT :limit

-- name: page_asleep
SELECT d.id AS id FROM deliveries AS d NOT INDEXED LEFT JOIN messages AS m ON m.position = d.position
WHERE d.id < -max(:after, 0) AND :filters ORDER BY d.id DESC LIMIT :limit

-- name: page_asleep_in_lane
SELECT d.id AS id
FROM deliveries AS d INDEXED BY deliveries_scheduled_by_lane LEFT JOIN messages AS m ON m.position = d.position
WHERE d.state = 'scheduled' AND d.id < -max(:after, 0) AND :filters ORDER BY d.id DESC LIMIT :limit

-- name: page_of_pages
SELECT id FROM (SELECT id FROM (:one) UNION ALL SELECT id FROM (:two)) ORDER BY abs(id) LIMIT :limit

-- name: read_messages
SELECT
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
FROM messages WHERE position > :after ORDER BY position LIMIT :limit

-- name: read_story
SELECT
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
FROM messages WHERE correlation_id = :correlation_id AND position > :after ORDER BY position LIMIT :limit

-- name: read_message
SELECT
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
FROM messages WHERE correlation_id = :correlation_id AND id = :id ORDER BY position LIMIT 1

-- name: read_stream
SELECT
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
FROM messages WHERE stream = :stream AND stream_version > :after ORDER BY stream_version LIMIT :limit

-- name: read_snapshot
SELECT stream, version, code, state FROM snapshots WHERE stream = :stream

-- name: read_instance
SELECT id, type, key, definition, version, status, state, number FROM processes WHERE id = :id

-- name: read_search
SELECT
    s.instance, s.type, s.key, s.status, s.correlation_id, s.started_at, s.updated_at, s.ended_at, s.cause, s.reason,
    s.trace_id, s.attributes
FROM processes AS p JOIN process_search AS s USING (number) WHERE p.id = :id

-- name: instances_of_page
SELECT
    p.id, p.type, p.key, p.definition, p.version, p.status, p.state, p.number,
    s.instance, s.type, s.key, s.status, s.correlation_id, s.started_at, s.updated_at, s.ended_at, s.cause, s.reason,
    s.trace_id, s.attributes
FROM (:page) AS page CROSS JOIN process_search AS s USING (number) CROSS JOIN processes AS p USING (number)
ORDER BY :order

-- name: page_of_instances
SELECT :first AS number FROM :source WHERE :filters

-- name: read_reactions
SELECT r.version, r.first_input, r.inputs, r.first_output, r.outputs
FROM processes AS p JOIN reactions AS r ON r.instance = p.number
WHERE p.id = :instance AND r.version > :after ORDER BY r.version LIMIT :limit

-- name: read_ranges
SELECT DISTINCT
    m.id, m.kind, m.type, m.payload, m.correlation_id, m.recorded_at, m.version, m.causation_id, m.sender, m.undoes,
    m.trace, m.stream, m.stream_version, m.expected_version, m.position
-- CROSS JOIN fixes the order: the planner knows nothing of json_each, and would scan the log for each range
FROM json_each(:ranges) AS wanted
CROSS JOIN messages AS m
    ON m.position >= wanted.value ->> 0 AND m.position < (wanted.value ->> 0) + (wanted.value ->> 1)

-- name: items_of_page
SELECT p.id, i.step, i.idx, i.item, i.command_id, i.command, i.state, i.reason, i.undo
FROM (:page) AS page
CROSS JOIN processes AS p ON p.id = :instance
CROSS JOIN items AS i ON i.instance = p.number AND i.step = :step AND i.idx = page.idx
ORDER BY :order

-- name: page_of_items
SELECT idx FROM items NOT INDEXED
WHERE instance = (SELECT number FROM processes WHERE id = :instance) AND step = :step AND :filters

-- name: page_of_items_in_state
SELECT idx FROM items INDEXED BY items_by_state
WHERE instance = (SELECT number FROM processes WHERE id = :instance) AND step = :step AND :filters

-- name: count_items
SELECT step, state, count(*) FROM items INDEXED BY items_by_state
WHERE instance = (SELECT number FROM processes WHERE id = :instance) GROUP BY step, state ORDER BY step, state

-- name: read_pauses
SELECT scope, name, paused_by, reason, since FROM pauses ORDER BY place

-- name: last_recorded
SELECT recorded_at FROM messages WHERE position = (SELECT max(position) FROM messages)

-- name: read_inbox
SELECT scope, key, digest, answer, expires_at FROM inbox WHERE scope = :scope AND key = :key

-- name: read_subscriptions
SELECT consumer, type, since FROM subscriptions ORDER BY consumer, type

-- name: subscribe
INSERT INTO subscriptions (consumer, type, since) VALUES (?, ?, ?) ON CONFLICT DO NOTHING

-- name: unsubscribe_others
DELETE FROM subscriptions WHERE (consumer, type) NOT IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))

-- name: read_checkpoint
SELECT consumer, position FROM checkpoints WHERE consumer = :consumer
