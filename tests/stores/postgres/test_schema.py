"""Old schemas become the newest one, under workers that go on."""

from __future__ import annotations

import pytest

from sagakit.core.commit import Commit
from sagakit.stores.postgres import schema
from sagakit.stores.postgres.connection import connect
from sagakit.stores.postgres.store import PostgresStore
from sagakit.testing.store_contract.samples import message, sent, timer, write

BEFORE_FORGET = 3


async def test_a_worker_goes_on_with_the_function_that_forgets_by_message(postgres_url: str) -> None:
    old, new, scripts = PostgresStore(postgres_url), PostgresStore(postgres_url), schema.migrations()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: scripts[:BEFORE_FORGET])
        await old.open()
    timers = [timer(message(), due_at=due) for due in (1, 2, 3)]
    await write(old, Commit(deliveries=timers), sent())
    await write(old, Commit(forgotten=[timers[0].envelope.id]))
    assert await old.read_scheduled() == timers[1:]
    await new.cluster.prepare()
    connection = await connect(new.address)
    assert await connection.fetchval("SELECT schema_version FROM store") == len(scripts)
    assert "d.state || ''" in await connection.fetchval("SELECT prosrc FROM pg_proc WHERE oid = 'write_1'::regproc")
    await connection.close()
    await write(old, Commit(forgotten=[timers[1].envelope.id]))
    await write(old, Commit(forgotten=[timers[2].envelope.id], deliveries=[timer(message(), due_at=4)]))
    assert [one.due_at for one in await old.read_scheduled()] == [4]
    await old.close()
