-- A command into a transaction of the user's own. It finds the store's tables whatever the caller's search_path is.

CREATE FUNCTION send_1(
    carried bytea, message_id text, message_type text, consumer text, lane text, channel text, notice text,
    partition integer, due_at bigint, scope text, key text, digest text, answer bytea
) RETURNS text LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
#variable_conflict use_variable
DECLARE
    number bigint;
    known record;
BEGIN
    IF key IS NOT NULL THEN
        INSERT INTO inbox AS i (scope, key, digest, answer) VALUES (scope, key, digest, answer) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT i.digest, i.answer INTO known FROM inbox AS i WHERE i.scope = send_1.scope AND i.key = send_1.key;
            RETURN json_build_array(known.digest, replace(encode(known.answer, 'base64'), E'\n', ''));
        END IF;
    END IF;
    PERFORM pg_advisory_lock(1396787019, 1853189986);       -- as write_1 does
    number := nextval('numbers');
    PERFORM pg_advisory_unlock(1396787019, 1853189986);
    INSERT INTO deliveries (
        id, due_at, arrived, writer, more, partition, attempt, crashes, spent, consumer, lane, state, carried,
        message_id, message_type
    )
    VALUES (
        number, due_at, pg_current_xact_id(), '', 0, partition, 1, 0, 0, consumer, lane, 'scheduled', carried,
        message_id, message_type
    );
    PERFORM pg_notify(channel, notice);
    RETURN NULL;
END $$;
