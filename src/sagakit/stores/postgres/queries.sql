-- Every statement of the store, by name.

-- name: known_deliveries
SELECT id, attempt FROM deliveries WHERE id = ANY ($1::bigint[])

-- name: known_carried
SELECT message_id, id, state FROM deliveries WHERE message_id = ANY ($1::text[])

-- name: known_instances
SELECT id, number, version FROM processes WHERE id = ANY ($1::text[])

-- name: known_streams
SELECT s.stream, newest.stream_version
FROM unnest($1::text[]) AS s (stream)
CROSS JOIN LATERAL (
    SELECT m.stream_version FROM messages AS m WHERE m.stream = s.stream ORDER BY m.stream_version DESC LIMIT 1
) AS newest

-- name: known_checkpoints
SELECT consumer, position FROM checkpoints WHERE consumer = ANY ($1::text[])

-- name: known_inbox
SELECT i.scope, i.key, i.digest, i.answer, i.expires_at
FROM unnest($1::text[], $2::text[]) AS e (scope, key) JOIN inbox AS i ON i.scope = e.scope AND i.key = e.key

-- name: deliveries_of_page
SELECT
    d.id, d.consumer, d.lane, d.state, d.due_at, d.attempt, d.crashes, d.error, d.carried, d.spent, d.partition,
    m.id, m.kind, m.type, m.payload, m.correlation_id, m.recorded_at, m.version, m.causation_id, m.sender, m.undoes,
    m.trace, m.stream, m.stream_version, m.expected_version, m.position
FROM (:page) AS page
JOIN deliveries AS d ON d.id = page.id
-- bounded, for the planner's sake: it takes the messages between two numbers for a part of the log
LEFT JOIN LATERAL (
    SELECT * FROM messages AS n WHERE n.position >= d.position AND n.position <= d.position + d.more
    ORDER BY n.position LIMIT d.more + 1
) AS m ON true
ORDER BY :order, m.position

-- name: page_outstanding
SELECT id FROM deliveries WHERE id > $1 AND state <> 'scheduled' ORDER BY id LIMIT $2

-- name: page_outstanding_owned
SELECT d.id FROM deliveries AS d
WHERE
    d.id > $1 AND d.state <> 'scheduled'
    -- IS TRUE: looked up row by row, on the way. As a join it would be one with all that is left, for each page
    AND ((d.consumer, d.partition) IN (SELECT o.c, o.p FROM unnest($3::text[], $4::integer[]) AS o (c, p))) IS TRUE
ORDER BY d.id LIMIT $2

-- name: page_scheduled
SELECT id FROM deliveries
WHERE state = 'scheduled' AND (due_at, id) > ($1, $2) ORDER BY due_at, id LIMIT $3

-- name: page_scheduled_owned
SELECT d.id FROM deliveries AS d
WHERE
    d.state = 'scheduled' AND (d.due_at, d.id) > ($1, $2)
    AND ((d.consumer, d.partition) IN (SELECT o.c, o.p FROM unnest($4::text[], $5::integer[]) AS o (c, p))) IS TRUE
ORDER BY d.due_at, d.id LIMIT $3

-- name: page_delivery
SELECT $1::bigint AS id

-- name: page_wanted
SELECT d.id FROM deliveries AS d LEFT JOIN messages AS m ON m.position = d.position
WHERE d.id > $1 AND :filters ORDER BY d.id LIMIT $2

-- name: read_messages
SELECT
    id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes, trace,
    stream, stream_version, expected_version, position
FROM messages WHERE :filters ORDER BY :order LIMIT :limit

-- name: read_log
SELECT
    xid::text::bigint, id, kind, type, payload, correlation_id, recorded_at, version, causation_id, sender, undoes,
    trace, stream, stream_version, expected_version, position
FROM messages
WHERE
    (xid, position) > ($1::bigint::text::xid8, $2::bigint)
    AND xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY messages.xid, messages.position LIMIT $3

-- name: read_snapshot
SELECT stream, version, code, state FROM snapshots WHERE stream = $1

-- name: read_instance
SELECT id, type, key, definition, version, status, state, number FROM processes WHERE id = $1

-- name: read_search
SELECT
    s.instance, s.type, s.key, s.status, s.correlation_id, s.started_at, s.updated_at, s.ended_at, s.cause, s.reason,
    s.trace_id, s.attributes
FROM processes AS p JOIN process_search AS s ON s.number = p.number WHERE p.id = $1

-- name: instances_of_page
SELECT
    p.id, p.type, p.key, p.definition, p.version, p.status, p.state, p.number,
    s.instance, s.type, s.key, s.status, s.correlation_id, s.started_at, s.updated_at, s.ended_at, s.cause, s.reason,
    s.trace_id, s.attributes
FROM (:page) AS page
JOIN process_search AS s ON s.number = page.number
JOIN processes AS p ON p.number = page.number
ORDER BY :order

-- name: read_reactions
SELECT r.version, r.first_input, r.inputs, r.first_output, r.outputs
FROM processes AS p JOIN reactions AS r ON r.instance = p.number
WHERE p.id = $1 AND r.version > $2 ORDER BY r.version LIMIT $3

-- name: read_ranges
SELECT DISTINCT ON (m.position)
    m.id, m.kind, m.type, m.payload, m.correlation_id, m.recorded_at, m.version, m.causation_id, m.sender, m.undoes,
    m.trace, m.stream, m.stream_version, m.expected_version, m.position
FROM unnest($1::bigint[], $2::integer[]) AS wanted (first, count)
-- each range by itself, and no longer than it is: else the planner may take the whole log for less
CROSS JOIN LATERAL (
    SELECT * FROM messages AS n WHERE n.position >= wanted.first AND n.position < wanted.first + wanted.count
    ORDER BY n.position LIMIT wanted.count
) AS m

-- name: read_items
SELECT $1::text, i.step, i.idx, i.item, i.command_id, i.command, i.state, i.reason, i.undo
FROM items AS i
WHERE i.instance = (SELECT number FROM processes WHERE id = $1) AND i.step = $2 AND :filters ORDER BY :order LIMIT $3

-- name: read_items_of_states
SELECT $1::text, i.step, i.idx, i.item, i.command_id, i.command, i.state, i.reason, i.undo
FROM unnest($4::text[]) AS wanted (state)
CROSS JOIN LATERAL (
    -- compared as rows, for the planner's sake: only the index by state gives this order
    SELECT * FROM items AS n
    WHERE n.instance = (SELECT number FROM processes WHERE id = $1) AND n.step = $2 AND :filters
    ORDER BY :order LIMIT $3
) AS i
ORDER BY :outer LIMIT $3

-- name: count_items
SELECT step, state, count(*) FROM items
WHERE instance = (SELECT number FROM processes WHERE id = $1) GROUP BY step, state
ORDER BY step, state COLLATE "C"

-- name: read_pauses
SELECT scope, name, paused_by, reason, since FROM pauses ORDER BY place

-- name: last_recorded
SELECT recorded_at FROM messages ORDER BY position DESC LIMIT 1

-- name: read_inbox
SELECT scope, key, digest, answer, expires_at FROM inbox WHERE scope = $1 AND key = $2

-- name: read_subscriptions
SELECT consumer, type, since, kind, key FROM subscriptions ORDER BY consumer COLLATE "C", type COLLATE "C"

-- name: subscribe
INSERT INTO subscriptions (consumer, type, since, kind, key, app)
SELECT
    n.consumer, n.type, CASE WHEN n.since > 0 THEN n.since ELSE coalesce((SELECT max(position) FROM messages), 0) END,
    n.kind, n.key, $6
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS n (consumer, type, since, kind, key)
ON CONFLICT (consumer, type) DO UPDATE SET kind = excluded.kind, key = excluded.key, app = excluded.app
RETURNING xmax = 0

-- name: unsubscribe_others
DELETE FROM subscriptions AS s
WHERE NOT EXISTS (
    SELECT FROM unnest($1::text[], $2::text[]) AS n (consumer, type) WHERE n.consumer = s.consumer AND n.type = s.type
)

-- name: read_checkpoint
SELECT consumer, position FROM checkpoints WHERE consumer = $1

-- name: read_store
SELECT schema_version, oldest_code, clean FROM store

-- name: set_clean
UPDATE store SET clean = $1

-- name: forget_workers
DELETE FROM workers

-- name: own
INSERT INTO workers (
    id, alone, session, routing, transactions, base, name, host, pid, app, versions, url, declares, takes, lasts,
    joined_at, renewed_at, expires_at
)
SELECT $1, true, $2, routing, 0, 0, '', $3, $4, '', '', NULL, '{}', '[]', 0, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, 0 FROM store
RETURNING routing

-- name: end_worker
DELETE FROM workers WHERE id = $1

-- name: take_session
UPDATE workers SET session = $2 WHERE id = $1 RETURNING transactions, base, routing

-- name: is_worker
SELECT id FROM workers WHERE id = $1 FOR SHARE

-- name: announce
UPDATE workers SET url = $2 WHERE id = $1 RETURNING id

-- name: read_owners
SELECT alone, pid, url FROM workers ORDER BY url IS NULL, joined_at

-- name: is_locked
SELECT EXISTS (
    SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
    WHERE
        d.datname = current_database() AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
        AND l.classid = $1::bigint::oid AND l.objid = ($2::bigint & 4294967295)::oid
)

-- name: page_of_message
-- OFFSET: found by its position; the first in the order of ids may be sought among all that is outstanding
SELECT min(d.id) AS id
FROM (SELECT id FROM deliveries WHERE position = $1 AND consumer <> $2 OFFSET 0) AS d

-- name: page_of_story
-- OFFSET: found by their positions, then sorted; else they may be sought in their order among all that is outstanding
SELECT id FROM deliveries
WHERE position = ANY (ARRAY(SELECT m.position FROM messages AS m WHERE m.correlation_id = $1)) AND state <> 'scheduled'
OFFSET 0

-- name: withdrawn
SELECT message_id FROM deliveries WHERE message_id = ANY ($1::text[]) AND consumer = $2

-- name: snapshot
SELECT pg_current_snapshot()::text

-- name: read_arrived
SELECT
    s.snapshot,
    d.id, d.consumer, d.lane, d.state, d.due_at, d.attempt, d.crashes, d.error, d.carried, d.spent, d.partition,
    m.id, m.kind, m.type, m.payload, m.correlation_id, m.recorded_at, m.version, m.causation_id, m.sender, m.undoes,
    m.trace, m.stream, m.stream_version, m.expected_version, m.position
FROM (SELECT pg_current_snapshot()::text AS snapshot) AS s
LEFT JOIN (
    (
        SELECT * FROM deliveries AS n
        WHERE
            n.arrived >= $1::text::xid8
            AND n.writer IS DISTINCT FROM $3 AND n.partition = ANY ($4::text::integer[])
        UNION ALL
        -- OFFSET: each is looked up. As a join it may be all that has ever arrived with the few that were under way
        SELECT n.* FROM unnest($2::text::xid8[]) AS under_way (xid) CROSS JOIN LATERAL (
            SELECT * FROM deliveries AS n WHERE n.arrived = under_way.xid OFFSET 0
        ) AS n
        WHERE n.writer IS DISTINCT FROM $3 AND n.partition = ANY ($4::text::integer[])
    ) AS d
    LEFT JOIN LATERAL (
        SELECT * FROM messages AS n WHERE n.position >= d.position AND n.position <= d.position + d.more
        ORDER BY n.position LIMIT d.more + 1
    ) AS m ON true
) ON true
ORDER BY d.id, m.position

-- name: begin_joining
SELECT FROM store FOR UPDATE

-- name: forget_owner
DELETE FROM workers WHERE alone

-- name: is_news
SELECT EXISTS (SELECT FROM workers) OR EXISTS (
    SELECT FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[]) AS n (consumer, type, since, kind, key)
    WHERE NOT EXISTS (
        SELECT FROM subscriptions AS s
        WHERE s.consumer = n.consumer AND s.type = n.type AND s.kind = n.kind AND s.key = n.key
    )
)

-- name: reroute
WITH newer AS (UPDATE store SET routing = routing + 1 RETURNING routing)
UPDATE workers SET routing = newer.routing FROM newer

-- name: join
INSERT INTO workers (
    id, alone, session, routing, transactions, base, name, host, pid, app, versions, url, declares, takes, lasts,
    joined_at, renewed_at, expires_at
)
SELECT $1, false, $10, routing, 0, 0, $2, $3, $4, $5, $6, $7, $8, $11, $9::bigint, n.now, n.now, n.now + $9::bigint
FROM store, (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS n

-- name: unsubscribe_unasked
DELETE FROM subscriptions AS s
WHERE s.app IN ($1, '') AND NOT EXISTS (
    SELECT FROM workers AS w WHERE w.takes @> jsonb_build_array(jsonb_build_array(s.consumer, s.type))
)

-- name: read_routes
SELECT r.routing, s.consumer, s.type, s.since, s.kind, s.key
FROM store AS r LEFT JOIN subscriptions AS s ON true ORDER BY s.consumer COLLATE "C", s.type COLLATE "C"

-- name: renew
UPDATE workers SET renewed_at = n.now, expires_at = n.now + lasts
FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) AS n WHERE id = $1 RETURNING id

-- name: read_workers
SELECT id, name, host, pid, app, versions, url, declares, lasts, joined_at, renewed_at, expires_at
FROM workers WHERE NOT alone ORDER BY joined_at, id

-- name: expel_expired
DELETE FROM workers WHERE id IN (
    SELECT id FROM workers WHERE id <> $1 AND NOT alone AND expires_at <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint ORDER BY id FOR UPDATE SKIP LOCKED
)
RETURNING id

-- name: free_leases
WITH theirs AS (
    SELECT consumer, partition FROM leases WHERE worker = ANY ($1::text[]) ORDER BY consumer, partition FOR UPDATE
)
UPDATE leases AS l SET worker = NULL, clean = false FROM theirs AS n
WHERE l.consumer = n.consumer AND l.partition = n.partition

-- name: forget_leases
DELETE FROM leases

-- name: read_leases
SELECT consumer, partition, worker, clean AND worker IS NULL
FROM leases ORDER BY consumer COLLATE "C", partition

-- name: read_unclaimed
SELECT d.consumer, d.waiting FROM (SELECT consumer, count(*) AS waiting FROM deliveries GROUP BY consumer) AS d
WHERE d.consumer <> ALL ($1::text[]) AND NOT EXISTS (
    SELECT FROM workers AS w CROSS JOIN unnest(w.declares) AS declared
    WHERE w.expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
        AND split_part(declared, '#', 1) = d.consumer
)
ORDER BY d.consumer COLLATE "C"

-- name: claim
INSERT INTO leases (consumer, partition, worker, clean)
SELECT n.consumer, n.partition, $1, s.clean
FROM unnest($2::text[], $3::integer[]) AS n (consumer, partition), store AS s
ORDER BY n.consumer, n.partition
ON CONFLICT (consumer, partition) DO UPDATE SET worker = excluded.worker
WHERE leases.worker IS NULL OR leases.worker = excluded.worker
RETURNING consumer, partition, clean

-- name: release
-- in the order in which others claim: else they would stand in one another's way
WITH mine AS (
    SELECT l.consumer, l.partition
    FROM leases AS l
    JOIN unnest($3::text[], $4::integer[]) AS n (consumer, partition)
        ON l.consumer = n.consumer AND l.partition = n.partition
    WHERE l.worker = $1 ORDER BY l.consumer, l.partition FOR UPDATE OF l
)
UPDATE leases AS l SET worker = NULL, clean = $2 FROM mine AS n
WHERE l.consumer = n.consumer AND l.partition = n.partition

-- name: notify
SELECT pg_notify($1, said) FROM unnest($2::text[]) AS said

-- name: count_living_workers
SELECT count(*) FROM workers
WHERE NOT alone AND expires_at > (extract(epoch FROM clock_timestamp()) * 1000000)::bigint

-- name: standing
SELECT s.clean, CASE WHEN n.is_called THEN n.last_value ELSE 0 END FROM store AS s, numbers AS n

-- name: stand
UPDATE store SET clean = $1

-- name: stand_numbers
SELECT setval('numbers', $1)

-- name: stand_pauses
SELECT setval(pg_get_serial_sequence('pauses', 'place'), max(place)) FROM pauses HAVING count(*) > 0
