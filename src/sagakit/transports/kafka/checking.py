"""What is wrong with settings by themselves: said before a broker is asked, since no trying again would mend it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sagakit.transports.kafka.settings import NAMED, KafkaSettings, KafkaUnusable, NoBrokerGiven

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "GSSAPI")
BY_USER = MECHANISMS[:3]
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
PROBE = "probe"
"""In the place of a file of CAs: librdkafka looks where systems have theirs."""
_FILES = ("ssl.ca.location", "ssl.certificate.location", "ssl.key.location")
_SHORT = {long: short for short, long in NAMED.items()}


def check(given: Callable[[], KafkaSettings]) -> None:
    """Raise KafkaUnusable for a setting with which no broker can ever be reached. No broker is asked.

    Where none is given nothing is said: whoever needs it first is told.
    """
    try:
        settings = given()
    except NoBrokerGiven:
        return
    named = settings.client()
    for name in ("sasl.mechanism", "sasl.mechanisms"):
        if name in named and named[name] not in MECHANISMS:
            _refuse(settings, name, named[name], f"give {_one_of(MECHANISMS)}")
    if settings.mechanism in BY_USER and not named.get("sasl.username"):
        _refuse(settings, "sasl.mechanism", settings.mechanism, "it needs a user: kafka://user:password@host")
    if named["security.protocol"].upper() not in PROTOCOLS:
        mend = f"give {_one_of(PROTOCOLS)}, or none: tls and username say it"
        _refuse(settings, "security.protocol", named["security.protocol"], mend)
    for name in _FILES:
        if name in named and not (name == "ssl.ca.location" and named[name] == PROBE):
            _check_file(settings, name, named[name])
    _try(settings)


def _check_file(settings: KafkaSettings, name: str, path: str) -> None:
    try:
        if not (name == "ssl.ca.location" and Path(path).is_dir()):
            Path(path).open("rb").close()
    except OSError as error:
        _refuse(settings, name, path, f"it cannot be read ({error.strerror}): name a file that this user may read")


def _try(settings: KafkaSettings) -> None:
    """What the driver itself does not take: a client of no broker connects to none."""
    if settings.mechanism == "OAUTHBEARER":
        return  # it would ask for a token at once
    from sagakit.transports.kafka.client.driver import KafkaException, Producer

    named = {name: value for name, value in settings.client().items() if name != "metadata.broker.list"}
    try:
        Producer({**named, "bootstrap.servers": "", "log_level": 0})
    except KafkaException as error:
        raise KafkaUnusable(settings.hide(f"{settings}: {error.args[0].str()}")) from error


def _refuse(settings: KafkaSettings, name: str, value: str, mend: str) -> None:
    short = f"{_SHORT[name]} ({name})" if name in _SHORT else name
    raise KafkaUnusable(settings.hide(f"{settings}: {short} is {value[:200]!r}: {mend}"))


def _one_of(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
