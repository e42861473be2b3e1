"""What messages may still lead to, by what the parts of an app declare."""

from __future__ import annotations

from tests.engine.stage import Ask, Declined, Stage, Told, asking_app
from tests.engine.watching.chain import (
    Charge,
    Charged,
    Finalize,
    Mailed,
    PaymentFailed,
    PaymentFinalized,
    Place,
    Placed,
    Script,
    chain,
)
from tests.engine.watching.chain import Declined as CardDeclined
from tests.engine.watching.watched import Begun, Nudged, TakeBack, TakenBack, counting, two_steps

from sagakit import App, Message, Saga
from sagakit.core.commit import Delivery, Envelope, Instance
from sagakit.engine.watching.reach import Reach


def reach(app: App) -> Reach:
    return Reach(app.topology(provide=[Stage, Script]))


def delivery(type: str, consumer: str, kind: str = "command", sender: str | None = None, undoes: str | None = None):  # type: ignore[no-untyped-def]
    envelope = Envelope("i", kind, type, b"{}", "i", 0, sender=sender, undoes=undoes)  # type: ignore[arg-type]
    return Delivery(envelope, consumer, "lane")


def test_a_chain_is_followed_to_its_end() -> None:
    found = reach(chain())
    finalized = {Finalize, PaymentFinalized, PaymentFailed}
    assert found.of((Charged,)) == {Charged, *finalized}
    assert found.of((Placed,)) == {Placed, Charge, Charged, CardDeclined, *finalized}
    assert found.of((Place,)) == found.of((Placed,)) | {Place}
    assert found.of((PaymentFailed,)) == {PaymentFailed}
    assert found.of((Place,)) is found.of((Place,))


def test_a_delivery_leads_to_what_its_own_consumer_makes() -> None:
    found = reach(chain())
    assert found.of_delivery(delivery("c.Placed", "c.mail", "event")) == frozenset()
    assert Charge in found.of_delivery(delivery("c.Placed", "c.charge_what_is_placed", "event"))
    assert Mailed not in found.of_delivery(delivery("c.Placed", "c.charge_what_is_placed", "event"))


def test_what_nobody_knows_may_lead_to_anything() -> None:
    found = reach(chain())
    assert PaymentFailed in found.of_delivery(delivery("c.Placed", "c.gone", "event"))
    assert PaymentFailed in found.of_class(found.class_of("c.Gone"))


def test_a_process_leads_to_what_its_source_sends() -> None:
    found = reach(two_steps())
    assert {Ask, Told, Declined, TakeBack, TakenBack} <= found.of((Begun,))
    assert found.of((Told,)) == {Told}


def test_a_command_leads_to_what_its_sender_does_next_but_an_undo_does_not() -> None:
    found = reach(two_steps())
    sent = delivery("t.Ask", "t.ask", sender="t.ask_twice/x")
    assert TakenBack in found.of_delivery(sent)
    undo = delivery("t.TakeBack", "t.take_back", sender="t.ask_twice/x", undoes="c")
    assert found.of_delivery(undo) == {TakenBack}
    # an event that a process publishes tells it nothing
    published = delivery("t.Told", "t.ask_twice", "event", sender="t.ask_twice/x")
    assert Ask in found.of_delivery(published)


def test_the_processes_that_lead_to_an_event_are_those_whose_running_instances_do() -> None:
    found = reach(two_steps())
    for wanted in ((Told,), (Told, Begun), (TakenBack,), (Begun,), (Mailed,)):
        running = [
            Instance("i", "t.ask_twice", "k", 1, 1, "running", b"{}"),
            Instance("i", "t.gone", "k", 1, 1, "running", b""),
        ]
        leading = {row.type for row in running if not found.of_instance(row).isdisjoint(wanted)}
        assert found.towards(wanted) == leading
    assert found.towards((Told,)) == {"t.ask_twice"}
    assert found.towards((Mailed,)) == frozenset()


def test_where_an_instance_stands_counts() -> None:
    found = reach(two_steps())

    def row(status: str, state: bytes = b"{}") -> Instance:
        return Instance("i", "t.ask_twice", "a", 1, 1, status, state)  # type: ignore[arg-type]

    assert Told in found.of_instance(row("running"))
    undo = b'{"type":"t.TakeBack","version":1,"payload":{}}'
    owed = b'{"steps":[{"ordinal":1,"id":"c","type":"t.Ask","state":"succeeded","undo":' + undo + b"}]}"
    assert found.of_instance(row("undoing", owed)) == {TakeBack, TakenBack}
    assert found.of_instance(row("undoing", owed.replace(b"succeeded", b"undone"))) == frozenset()
    for status in ("parked", "compensation_failed", "completed", "compensated", "abandoned"):
        assert found.of_instance(row(status, owed)) == frozenset()
    gone = Instance("i", "t.gone", "a", 1, 1, "running", b"{}")
    assert found.of_instance(gone) == frozenset()


def test_a_process_that_sends_nothing_leads_to_nothing() -> None:
    found = reach(counting())
    assert found.of((Begun,)) == {Begun}
    assert found.of((Nudged,)) == {Nudged}


def test_what_the_source_does_not_show_may_lead_to_anything() -> None:
    app = asking_app()
    answers: dict[str, list[Message]] = {}

    @app.on
    def hears(event: Begun) -> Message | None:
        return answers["what"][0]

    assert {Ask, Told, Declined} <= reach(app).of((Begun,))

    other = asking_app()

    @other.saga(key="key")
    async def secret(begun: Begun, saga: Saga) -> None:
        for command in answers["what"]:
            await saga.do(command, then=None)

    assert Told in reach(other).of((Begun,))


def test_a_function_that_says_what_it_makes_is_believed() -> None:
    app = asking_app()

    @app.on
    async def hears(event: Begun) -> None:
        pass

    @app.on
    async def says_nothing(event: Begun):  # type: ignore[no-untyped-def]
        pass

    assert reach(app).of((Begun,)) == {Begun}
