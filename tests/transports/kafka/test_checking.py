"""Settings with which no broker can ever be reached: refused by name when an engine starts, and nobody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sagakit import App, Module
from sagakit.participant import Participant
from sagakit.transports.kafka import Kafka, KafkaSettings, KafkaUnusable
from sagakit.transports.kafka.checking import check


@dataclass(frozen=True)
class Paid:
    key: str


class Broker:
    """It counts who calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.port = 0

    def called(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        writer.close()


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    made = Broker()
    async with await asyncio.start_server(made.called, "127.0.0.1", 0) as server:
        made.port = server.sockets[0].getsockname()[1]
        yield made


def publishing(kafka: Kafka) -> App:
    app = App("payments")
    kafka.publishes(app, "payments", Paid, key="key")
    return app


def consuming(kafka: Kafka) -> App:
    app = App("mail")
    kafka.consumes(app, "payments", Paid, of="payments")

    @app.on
    async def hear(event: Paid) -> None: ...

    return app


def refused(settings: KafkaSettings) -> str:
    with pytest.raises(KafkaUnusable) as raised:
        check(lambda: settings)
    return str(raised.value)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        (
            "sasl=NONSENSE",
            "sasl (sasl.mechanism) is 'NONSENSE': give PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI",
        ),
        ("sasl=scram-sha-512", "sasl (sasl.mechanism) is 'scram-sha-512': give PLAIN, SCRAM-SHA-256"),
        ("sasl.mechanisms=NONSENSE", "sasl.mechanisms is 'NONSENSE': give PLAIN"),
        ("ca=/nowhere/ca.pem", "ca (ssl.ca.location) is '/nowhere/ca.pem': it cannot be read (No such file"),
        ("cert=/nowhere/c.pem", "cert (ssl.certificate.location) is '/nowhere/c.pem': it cannot be read"),
        ("key=/nowhere/k.pem", "key (ssl.key.location) is '/nowhere/k.pem': it cannot be read (No such file"),
        ("linger.ms=soon", 'Invalid value for configuration property "queue.buffering.max.ms"'),
        ("no.such.setting=1", 'No such configuration property: "no.such.setting"'),
    ],
)
async def test_what_nothing_would_mend_is_named(broker: Broker, query: str, why: str) -> None:
    for scheme in ("kafka", "kafkas"):
        text = refused(KafkaSettings.from_url(f"{scheme}://ann:hush@127.0.0.1:{broker.port}?{query}"))
        assert text.startswith(f"{scheme}://ann@127.0.0.1:{broker.port}: {why}")
        assert "hush" not in text
    assert broker.calls == 0


def test_a_security_protocol_that_is_none_is_named() -> None:
    assert refused(KafkaSettings("h:1", options={"security.protocol": "TLS"})) == (
        "kafka://h:1: security.protocol is 'TLS': "
        "give PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, or none: tls and username say it"
    )


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
@pytest.mark.parametrize("name", ["sasl", "sasl.mechanisms"])
def test_a_mechanism_without_its_user_is_named(mechanism: str, name: str) -> None:
    text = refused(KafkaSettings.from_url(f"kafka://h?{name}={mechanism}"))
    assert text.endswith(f" is {mechanism!r}: it needs a user: kafka://user:password@host")
    check(lambda: KafkaSettings.from_url(f"kafka://h?{name}={mechanism}&sasl.username=ann&sasl.password=hush"))


def test_a_file_that_holds_no_certificate_is_refused_in_the_drivers_words(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing", encoding="utf-8")
    assert "ssl.ca.location failed" in refused(KafkaSettings.from_url(f"kafkas://h?ca={tmp_path / 'ca.pem'}"))


@pytest.mark.parametrize(
    "url",
    [
        "kafka://127.0.0.1:{port}",
        "kafkas://ann:hush@127.0.0.1:{port}?sasl=SCRAM-SHA-256&linger.ms=20&session_timeout=10000",
        "kafkas://127.0.0.1:{port}?ca=probe",
        "kafkas://127.0.0.1:{port}?ca={folder}",
        "kafkas://ann@127.0.0.1:{port}?sasl=OAUTHBEARER",
        "kafkas://127.0.0.1:{port}?sasl=OAUTHBEARER",
        "kafka://127.0.0.1:{port}?metadata.broker.list=127.0.0.1:{port}",
    ],
)
async def test_what_a_broker_has_to_judge_is_left_to_it(broker: Broker, url: str, tmp_path: Path) -> None:
    settings = KafkaSettings.from_url(url.format(port=broker.port, folder=tmp_path))
    await asyncio.to_thread(check, lambda: settings)
    assert broker.calls == 0


@pytest.mark.parametrize("app", [publishing, consuming])
@pytest.mark.parametrize("query", ["sasl=NONSENSE", "ca=/nowhere/ca.pem"])
async def test_an_engine_does_not_start_with_it(broker: Broker, app: Any, query: str) -> None:
    kafka = Kafka(f"kafka://ann:hush@127.0.0.1:{broker.port}?{query}")
    with pytest.raises(KafkaUnusable, match=query.partition("=")[2]):
        async with app(kafka).engine("memory://"):
            raise AssertionError("it has started")
    assert broker.calls == 0


async def test_a_participant_does_not_run_with_it(broker: Broker) -> None:
    kafka, payments = (
        Kafka(f"kafka://ann:hush@127.0.0.1:{broker.port}?sasl=NONSENSE"),
        Participant("payments", memory="memory://"),
    )
    with pytest.raises(KafkaUnusable, match=r"sasl \(sasl\.mechanism\) is 'NONSENSE'"):
        await kafka.participant(payments, "payments").run()
    assert broker.calls == 0


def test_where_none_is_given_nothing_is_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAGAKIT_KAFKA", raising=False)
    check(Kafka().settings)
    module = Module("payments")
    monkeypatch.setenv("SAGAKIT_KAFKA", "http://h")
    Kafka().publishes(module, "payments", Paid, key="key")
    with pytest.raises(KafkaUnusable, match="begins with kafka://"):
        check(Kafka().settings)
