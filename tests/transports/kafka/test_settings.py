"""URLs of brokers: what they say, and what is never shown of them."""

from pathlib import Path

import pytest

from sagakit.transports.kafka.settings import KafkaSettings, KafkaUnusable, redacted

SECRET = "s%3Acret"
URL = f"kafkas://ann:{SECRET}@one:9093,two?sasl=SCRAM-SHA-512&ca=/etc/ca.pem&key_password=hush&linger.ms=20"


def test_a_plain_one() -> None:
    settings = KafkaSettings.from_url("kafka://localhost").client()
    assert settings["bootstrap.servers"] == "localhost:9092"
    assert settings["security.protocol"] == "PLAINTEXT"
    assert "sasl.username" not in settings


def test_tls_and_sasl() -> None:
    settings = KafkaSettings.from_url(URL).client()
    assert settings["bootstrap.servers"] == "one:9093,two:9092"
    assert settings["security.protocol"] == "SASL_SSL"
    assert (settings["sasl.username"], settings["sasl.password"]) == ("ann", "s:cret")
    assert settings["sasl.mechanism"] == "SCRAM-SHA-512"
    assert settings["ssl.ca.location"] == "/etc/ca.pem"
    assert settings["linger.ms"] == "20"
    assert KafkaSettings.from_url("kafkas://[::1]:1").client()["security.protocol"] == "SSL"
    assert KafkaSettings.from_url("kafka://u:p@h").client()["security.protocol"] == "SASL_PLAINTEXT"
    assert KafkaSettings.from_url("kafkas://h?sasl=OAUTHBEARER").client()["security.protocol"] == "SASL_SSL"


def test_a_password_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("from-file\n", encoding="utf-8")
    settings = KafkaSettings.from_url(f"kafka://ann@h?password_file={file}")
    assert settings.password == "from-file"
    with pytest.raises(KafkaUnusable, match="cannot be read"):
        KafkaSettings.from_url(f"kafka://ann@h?password_file={tmp_path / 'none'}")


def test_secrets_are_not_shown() -> None:
    settings = KafkaSettings.from_url(URL)
    shown = f"{settings} {settings!r} {redacted(URL)} {settings.hide('s:cret and hush')}"
    assert "s:cret" not in shown
    assert SECRET not in shown
    assert "hush" not in shown
    assert str(settings) == "kafkas://ann@one:9093,two:9092"
    assert redacted(URL) == (
        "kafkas://ann:***@one:9093,two?sasl=SCRAM-SHA-512&ca=/etc/ca.pem&key_password=***&linger.ms=20"
    )


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://ann:hush@h", "begins with kafka://"),
        ("kafka://ann:a/hush@h:1", "/ is written %2F"),
        ("kafka://ann:1/hush@h:1", "/ is written %2F"),
        ("kafka://ann:a?hush@h:1", "/ is written %2F"),
        ("kafka://ann:1?hush@h:1", "/ is written %2F"),
        ("kafka://ann:hush?a=b@h:1", "/ is written %2F"),
        ("kafka://ann:hush#a@h:1", "/ is written %2F"),
        ("kafka://ann:a[hush]@h:1", "/ is written %2F"),
        ("kafka://", "names no host"),
        ("kafka://ann:hush@h/topic", "a broker has no path"),
        ("kafka://ann:hush@h:port", "is no host:port"),
        ("kafka://ann:hush@h?acks=0", "acks cannot be set: what is promised rests on it"),
        ("kafka://ann:hush@h?enable.idempotence=false", "enable.idempotence cannot be set"),
        ("kafka://ann:hush@h?nonsense=1", "no setting is named nonsense"),
        ("kafka://ann:hush@h?partitions=many", "is no number from 1"),
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_its_secrets(url: str, why: str) -> None:
    with pytest.raises(KafkaUnusable) as raised:
        KafkaSettings.from_url(url)
    assert why in str(raised.value)
    assert "hush" not in str(raised.value)
