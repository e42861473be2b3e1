"""What goes wrong with a server: nothing confirmed is lost, nothing is written twice, and it is said in one line."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from itertools import count

import asyncpg
import pytest
from structlog.testing import capture_logs
from tests.servers.postgres import Server, server
from tests.stores.postgres.proxy import proxied

from sagakit.core.commit import Commit, DeliveryChange, Fence
from sagakit.errors import CommitLost, LeaseLost, SchemaTooNew, StoreFailed, StoreUnusable
from sagakit.stores.postgres import schema
from sagakit.stores.postgres.address import parse
from sagakit.stores.postgres.connection import Connection, connect, explain
from sagakit.stores.postgres.store import PostgresStore
from sagakit.testing.store_contract.samples import delivery, event, message, read_all, sent, started, write


@pytest.fixture(scope="module")
def own() -> Generator[Server]:
    """A server that only these tests use: they restart it, end its connections, and see who waits for whom."""
    with server({"deadlock_timeout": "100ms"}) as made:
        yield made


async def insist(store: PostgresStore, commit: Commit) -> None:
    """Write it as the engine's committer does, whatever happens to the server."""
    while True:
        try:
            [answer] = await store.commit([commit])
        except CommitLost:
            if await looked_up(store, commit):
                return
        except StoreFailed:
            await asyncio.sleep(0.01)
        else:
            assert answer is None
            return


async def looked_up(store: PostgresStore, commit: Commit) -> bool:
    while True:
        try:
            [written] = await store.committed([commit])
        except StoreFailed:
            await asyncio.sleep(0.01)
        else:
            return written


# ---------------------------------------------------------------------- connections that break


@pytest.mark.parametrize("cut", ["before", "after"])
async def test_a_lost_answer_is_looked_up(postgres_url: str, cut: str) -> None:
    async with proxied(postgres_url) as (url, wire):
        store = PostgresStore(url)
        await store.open()
        await write(store, sent())
        one, two, other = sent(), started("one"), Commit(messages=[event("order/1", 9)])
        wire.cut = cut  # type: ignore[assignment]
        with pytest.raises(CommitLost, match="may or may not be written"):
            await store.commit([one, two])
        assert one.messages[0].position == 0
        with pytest.raises(StoreFailed):
            await store.commit([other])
        written = cut == "after"
        assert await store.committed([one, two, other]) == [written, written, False]
        assert bool(one.messages[0].position) == bool(one.deliveries[0].id) == written
        assert bool(two.instances[0].row.number) == written
        if not written:
            await write(store, one, two)
        assert await read_all(store) == [m.id for m in await store.read_messages()]
        assert (await store.read_messages())[-1] == one.messages[0]
        assert (await store.read_deliveries())[-1] == one.deliveries[0]
        assert await store.read_instance("one") == two.instances[0].row
        assert len(await store.read_messages()) == 2
        await write(store, Commit(done=[Fence(one.deliveries[0].id, 1)]))
        await store.close()


async def test_what_an_old_connection_still_sends_is_dropped(own: Server) -> None:
    """The answer is asked for while the transaction itself is still on its way."""
    store = PostgresStore(f"{own.url}?schema=old_connection")
    await store.open()
    await write(store, sent())
    in_the_way = await connect(store.address)
    async with in_the_way.transaction():
        await in_the_way.execute("LOCK TABLE deliveries IN EXCLUSIVE MODE")
        commit = sent()
        lost = asyncio.create_task(store.commit([commit]))
        pid = None
        while pid is None:
            pid = await in_the_way.fetchval("SELECT pid FROM pg_locks WHERE NOT granted AND relation IS NOT NULL")
        await in_the_way.execute("SELECT pg_terminate_backend($1)", pid)
        with pytest.raises(CommitLost):
            await lost
        assert await store.committed([commit]) == [False]
    await write(store, commit)
    assert len(await store.read_messages()) == 2
    await in_the_way.close()
    await store.close()


async def test_what_arrives_after_it_was_looked_up_is_dropped(postgres_url: str) -> None:
    """The network holds a transaction back until the engine has asked for it and goes on without it."""
    async with proxied(postgres_url) as (url, wire):
        store = PostgresStore(url)
        await store.open()
        await write(store, sent())
        commit = sent()
        wire.cut = "late"
        with pytest.raises(CommitLost):
            await store.commit([commit])
        assert await store.committed([commit]) == [False]
        wire.go_on.set()
        await wire.arrived.wait()
        assert len(await read_all(store)) == 1
        await write(store, commit)
        assert len(await read_all(store)) == 2
        await store.close()


async def test_connections_that_broke_while_nothing_was_asked(own: Server) -> None:
    store = PostgresStore(f"{own.url}?schema=broken")
    await store.open()
    await write(store, sent())
    await read_all(store)
    other = await connect(store.address)
    await other.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'sagakit' AND pid <> pg_backend_pid() AND query LIKE '%'||$1||'%'", "write_1"
    )  # fmt: skip
    await asyncio.gather(*(insist(store, sent()) for _ in range(3)))
    assert len(await read_all(store)) == 4
    await other.close()
    await store.close()


@pytest.mark.parametrize("joined", [False, True])
async def test_restarts_in_the_middle_of_commits(own: Server, joined: bool) -> None:
    store = PostgresStore(f"{own.url}?schema=restarts_{joined}")
    if joined:
        from sagakit.core.cluster.members import Worker

        await store.cluster.prepare()
        await store.open(own=False)
        await store.cluster.join(Worker("one", lasts=60_000_000), ())
    else:
        await store.open()
    commits: list[Commit] = []
    over = asyncio.Event()

    async def client() -> None:
        while not over.is_set():
            commit = sent()
            await insist(store, commit)
            commits.append(commit)

    clients = asyncio.gather(*(client() for _ in range(5)))
    for how in ("immediate", "fast", "immediate"):
        written = len(commits)
        while len(commits) < written + 20:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(own.restart, how)
    over.set()
    await clients
    log = await store.read_messages(limit=100_000)
    assert sorted(one.id for one in log) == sorted(commit.messages[0].id for commit in commits), "each once"
    by_id = {one.id: one for one in log}
    assert all(by_id[commit.messages[0].id].position == commit.messages[0].position for commit in commits)
    assert len(await store.read_deliveries(limit=100_000)) == len(commits)
    if joined:
        assert [one.id for one in await store.cluster.renew()] == ["one"]
    await store.close()


async def test_a_server_that_is_away_for_a_while(own: Server) -> None:
    store = PostgresStore(f"{own.url}?schema=away")
    await store.open()
    await write(store, sent())
    await asyncio.to_thread(own.stop)
    try:
        for _ in range(2):
            with pytest.raises(StoreFailed, match=f"^postgresql://127.0.0.1:{own.port}/postgres .* does not answer"):
                await store.commit([sent()])
            with pytest.raises(StoreFailed, match="does not answer"):
                await store.read_messages()
    finally:
        await asyncio.to_thread(own.start)
    await write(store, sent())
    assert len(await read_all(store)) == 2
    await store.close()


# ---------------------------------------------------------------------- others in the way


async def test_a_deadlock_is_tried_again(own: Server) -> None:
    store = PostgresStore(f"{own.url}?schema=deadlock")
    await store.open()
    other = await connect(store.address)
    for turn in count(1):
        waiting = sent()
        await write(store, waiting)
        ended = await is_ended_where_it_waits(store, other, waiting)
        assert len(await read_all(store)) == 2 * turn
        if ended:
            break
    await other.close()
    await store.close()


async def is_ended_where_it_waits(store: PostgresStore, other: Connection, held: Commit) -> bool:
    """Whether the server has ended the store's transaction, and not the other one, who came later than in 100 ms."""
    id, ended = held.deliveries[0].id, True
    try:
        async with other.transaction():
            await other.execute("SELECT FROM deliveries WHERE id = $1 FOR UPDATE", id)
            commit = Commit(done=[Fence(id, 1)], messages=[message()])
            writing = asyncio.create_task(store.commit([commit]))
            while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
                await asyncio.sleep(0)
            await other.execute("UPDATE workers SET url = 'in the way'")  # whom the store's transaction holds
    except asyncpg.DeadlockDetectedError:
        ended = False
    assert await writing == [None]
    return ended


async def test_what_another_changes_meanwhile_is_seen(own: Server) -> None:
    """As expected when it was made ready, and not any more when it is written: it is checked again."""
    store = PostgresStore(f"{own.url}?schema=meanwhile")
    await store.open()
    waiting = sent()
    await write(store, waiting)
    other = await connect(store.address)
    async with other.transaction():
        await other.execute("UPDATE deliveries SET attempt = 2 WHERE id = $1", waiting.deliveries[0].id)
        group = [Commit(done=[Fence(waiting.deliveries[0].id, 1)]), sent()]
        writing = asyncio.create_task(store.commit(group))
        while not await other.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0)
    answers = await writing
    assert [answer and answer.why for answer in answers] == ["gone", None]
    await other.close()
    await store.close()


# ---------------------------------------------------------------------- what cannot be opened


async def first_refusal(url: str) -> StoreUnusable:
    """What is said once the server's new rules have come into force."""
    while True:
        try:
            connection = await connect(parse(url), opening=True)
        except StoreUnusable as refused:
            return refused
        await connection.close()


async def test_a_wrong_password_and_a_database_that_is_not_there(own: Server) -> None:
    address = f"127.0.0.1:{own.port}"
    rules = own.data / "pg_hba.conf"
    before = rules.read_text(encoding="utf-8")
    admin = await connect(parse(own.url))
    await admin.execute("CREATE ROLE shop LOGIN PASSWORD 'right'")
    try:
        rules.write_text(f"host all shop all scram-sha-256\n{before}", encoding="utf-8")
        await admin.execute("SELECT pg_reload_conf()")
        refused = await first_refusal(f"postgresql://shop:secret@{address}/postgres")
        assert "refuses this user" in str(refused)
        assert "secret" not in f"{refused}{refused!r}"
        assert "\n" not in str(refused)
        with pytest.raises(StoreUnusable, match="check the options in the URL"):
            await connect(parse(f"{own.url}?sslmod=require"), opening=True)
        with pytest.raises(StoreUnusable, match="grant it the right") as unable:
            await PostgresStore(f"postgresql://shop:right@{address}/postgres?schema=forbidden").open()
        assert "right@" not in str(unable.value)
    finally:
        rules.write_text(before, encoding="utf-8")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.close()
    with pytest.raises(StoreUnusable, match="no such database"):
        await PostgresStore(f"postgresql://postgres@{address}/nothing").open()


async def test_a_server_that_takes_no_writes(postgres_url: str) -> None:
    with pytest.raises(StoreUnusable, match=r"takes no writes .*target_session_attrs=read-write"):
        await PostgresStore(f"{postgres_url}&default_transaction_read_only=on").open()


async def test_a_server_that_is_too_old(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "OLDEST_SERVER", 990_000)
    with pytest.raises(StoreUnusable, match="at least 99 is needed"):
        await PostgresStore(postgres_url).open()


async def test_a_schema_of_another_program(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    other = await connect(store.address)
    await other.execute(f"CREATE SCHEMA {store.address.schema}; CREATE TABLE messages (id integer)")
    for own in (True, False):
        with pytest.raises(StoreUnusable, match="holds another program's tables"):
            await store.open(own=own)
    await other.close()


async def test_a_reader_of_nothing(postgres_url: str) -> None:
    with pytest.raises(StoreUnusable, match="holds no sagakit store"):
        await PostgresStore(postgres_url).open(own=False)


async def test_a_schema_that_is_too_new(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    await store.close()
    other = await connect(store.address)
    await other.execute("UPDATE store SET schema_version = 99, oldest_code = 98")
    for own in (True, False):
        with pytest.raises(SchemaTooNew, match="has schema 99, which needs a sagakit that knows schema 98"):
            await store.open(own=own)
    await other.execute("UPDATE store SET oldest_code = 1")
    await store.open()
    await write(store, sent())
    await store.close()
    await other.close()


async def test_a_server_that_may_lose_what_it_confirms_is_told_of() -> None:
    with server({"fsync": "off"}) as careless, capture_logs() as logs:
        store = PostgresStore(careless.url)
        await store.open()
        await store.close()
    assert any("fsync is off" in entry["event"] for entry in logs)


async def test_every_session_waits_for_the_disk(postgres_url: str) -> None:
    connection = await connect(PostgresStore(f"{postgres_url}&synchronous_commit=off").address)
    assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await connection.close()


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (asyncpg.DiskFullError("No space left"), StoreFailed, "the disk of .* is full"),
        (asyncpg.TooManyConnectionsError("sorry"), StoreFailed, "takes no more connections"),
        (asyncpg.CannotConnectNowError("the database system is starting up"), StoreFailed, "starting or stopping"),
        (asyncpg.ReadOnlySQLTransactionError("read-only"), StoreFailed, "takes no writes"),
        (asyncpg.UndefinedTableError("no table"), StoreUnusable, "a bug, please report it"),
        (
            asyncpg.UndefinedObjectError('unrecognized configuration parameter "sslmod"'),
            StoreFailed,
            "does not know what is asked of it .*sslmod.*: check the options in the URL",
        ),
        (asyncpg.SerializationError("again"), StoreFailed, "others were in the way"),
        (OSError("Connection reset"), StoreFailed, "does not answer"),
        (TimeoutError(), StoreFailed, "does not answer"),
    ],
)
def test_what_an_error_means(error: Exception, kind: type[Exception], text: str) -> None:
    meant = explain(error, parse("postgresql://shop:secret@db.example/shop"))
    assert type(meant) is kind
    with pytest.raises(kind, match=text):
        raise meant
    assert "postgresql://db.example/shop" in str(meant)
    assert "secret" not in str(meant)


# ---------------------------------------------------------------------- migrations, and odd contents


async def test_many_open_a_new_schema_at_once(postgres_url: str) -> None:
    stores = [PostgresStore(postgres_url) for _ in range(6)]
    await asyncio.gather(*(store.cluster.prepare() for store in stores))
    assert await stores[0].open()
    await write(stores[0], sent())
    await stores[0].close()


async def test_a_migration_under_a_worker_that_goes_on(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = PostgresStore(postgres_url), PostgresStore(postgres_url)
    await old.open()
    await write(old, sent(), started("one"))
    await old.read_deliveries()
    tables = [
        "store",
        "messages",
        "deliveries",
        "processes",
        "process_search",
        "inbox",
        "snapshots",
        "items",
        "workers",
    ]
    later = [*schema.migrations(), "".join(f"ALTER TABLE {name} ADD COLUMN note text;" for name in tables)]
    with monkeypatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: later)
        writing = asyncio.gather(*(insist(old, sent()) for _ in range(50)))
        await new.cluster.prepare()
        await writing
    await write(old, sent(), started("two"))
    assert len(await read_all(old)) == 52
    assert len(await old.read_deliveries()) == 52
    assert await old.read_instance("two")
    await old.close()


async def test_a_migration_that_is_in_the_way_of_workers_is_tried_again(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    connection = await connect(store.address)
    await connection.execute("CREATE SEQUENCE tries")  # what it has counted stays when a transaction is undone
    later = """
    ALTER TABLE messages ADD COLUMN note text;
    DO $$ BEGIN
        IF nextval('tries') < 4 THEN RAISE EXCEPTION 'in the way' USING ERRCODE = '40P01'; END IF;
    END $$
    """
    scripts = [*schema.migrations(), later]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(schema, "migrations", lambda: scripts)
        assert await schema.migrate(connection, store.address) == (len(scripts) - 1, len(scripts))
    assert await connection.fetchval("SELECT last_value FROM tries") == 4
    assert await connection.fetchval("SELECT count(note) FROM messages") == 0
    await connection.close()
    await store.close()


async def test_text_that_the_server_cannot_keep(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    odd = sent(error="binary \0 junk \udcff", lane="orders/a\0b", state="parked")
    await write(store, sent(), odd, started("one", key="a\0b", reason="\ud800"))
    [_, found] = await store.read_deliveries()
    assert (found.error, found.lane) == ("binary \u2400 junk ?", "orders/a\u2400b")
    await write(store, Commit(changes=[DeliveryChange(Fence(found.id, 1), "ready", 2, error="\0")]))
    search = await store.read_search("one")
    assert search is not None
    assert search.key == "a\u2400b"
    assert await store.read_inbox("http", "\0") is None
    await store.close()


async def test_keys_that_are_very_long(postgres_url: str) -> None:
    store = PostgresStore(postgres_url)
    await store.open()
    key = "".join(f"{number:x}" for number in range(5_000))
    later = delivery(message(), lane=key, state="scheduled", due_at=1)
    long = f'{{"note":"{key}"}}'.encode()
    await write(store, Commit(deliveries=[later]), started("one", key=key, attributes=long))
    from sagakit.core.queries import DeliveryQuery, InstanceQuery

    assert len(await store.read_instances(InstanceQuery(key=key))) == 1
    assert len(await store.read_instances(InstanceQuery(attributes=(("note", key),)))) == 1
    assert await store.find_deliveries(DeliveryQuery(lane=key, state="scheduled")) == [later]
    await store.close()


async def test_an_expelled_worker_is_told_so_after_a_lost_answer(postgres_url: str) -> None:
    from sagakit.core.cluster.members import Worker

    async with proxied(postgres_url) as (url, wire):
        store = PostgresStore(url)
        await store.cluster.prepare()
        await store.open(own=False)
        await store.cluster.join(Worker("one"), ())
        await write(store, sent())
        wire.cut = "before"
        commit = sent()
        with pytest.raises(CommitLost):
            await store.commit([commit])
        other = await connect(PostgresStore(postgres_url).address)
        await other.execute("DELETE FROM workers")
        with pytest.raises(LeaseLost):
            await store.committed([commit])
        await other.close()
        await store.close()
