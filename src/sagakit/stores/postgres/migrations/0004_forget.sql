-- Timers that are forgotten are found by their message, whatever the planner knows of the table. Between this and the
-- index of all that is scheduled it chose by statistics: without any it read every timer for each Commit that forgets.
-- What write_1 does is the same: workers of an older version go on with it.

DO $$
DECLARE
    definition text := pg_get_functiondef('write_1'::regproc);
    old text := 'd.message_id = ANY (forgotten) AND d.state = ''scheduled''';
    new text := 'd.message_id = ANY (forgotten) AND d.state || '''' = ''scheduled''';     -- no index is of that
BEGIN
    IF position(old IN definition) = 0 THEN
        RAISE EXCEPTION 'write_1 is not as 0002 has made it';
    END IF;
    EXECUTE replace(definition, old, new);
END $$;
