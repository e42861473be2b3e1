"""How a broker is reached: read from a URL, without the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sagakit.errors import TerminalError
from sagakit.urls import ESCAPED, split

PORT = 9092
_TLS = {"kafka": False, "kafkas": True, "kafka+tls": True, "kafka+ssl": True}
NAMED = {
    "ca": "ssl.ca.location",
    "cert": "ssl.certificate.location",
    "key": "ssl.key.location",
    "key_password": "ssl.key.password",
    "sasl": "sasl.mechanism",
    "session_timeout": "session.timeout.ms",
    "client_id": "client.id",
}
"""What a URL may say by a short name; any setting of librdkafka may stand in it by its own."""
_OURS = frozenset(
    {
        "bootstrap.servers",
        "security.protocol",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "enable.idempotence",
        "acks",
        "group.id",
        "partition.assignment.strategy",
    }
)
"""What promises rest on: no URL may set it otherwise."""
_SECRET = ("password", "secret", "sasl.oauthbearer.config", "ssl.key.pem", "token")
HIDDEN = "***"


class KafkaUnusable(TerminalError):
    """A broker that cannot be used as it is set up; the text says why, without secrets."""


class NoBrokerGiven(KafkaUnusable):
    """No URL says where one is."""


@dataclass(frozen=True, repr=False)
class KafkaSettings:
    """Where the brokers are, and how to be let in. Shown without its secrets."""

    servers: str
    """host:port, separated by commas."""
    tls: bool = False
    username: str | None = None
    password: str | None = None
    partitions: int | None = None
    """Topics that are not there are created with so many partitions; None: they are not created."""
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Settings of librdkafka, by their own names."""

    @classmethod
    def from_url(cls, url: str) -> KafkaSettings:
        """Settings from `kafka://user:password@host:9092,host:9092?sasl=SCRAM-SHA-512`; `kafkas://` is over TLS.

        `password_file=` names a file that holds the password; with `partitions=` topics that are not there are
        created. Raises KafkaUnusable.
        """
        parts = split(url)
        if parts is None:
            raise KafkaUnusable(f"a kafka:// URL that cannot be read: {ESCAPED}")
        if parts.scheme not in _TLS:
            raise KafkaUnusable(f"{redacted(url)}: a URL of a broker begins with kafka:// or kafkas://")
        login, _, hosts = parts.netloc.rpartition("@")
        servers = [_with_port(host, url) for host in hosts.split(",") if host]
        if not servers:
            raise KafkaUnusable(f"{redacted(url)} names no host: kafka://host:9092")
        if parts.path.strip("/"):
            raise KafkaUnusable(f"{redacted(url)}: a broker has no path; topics are named where they are used")
        user, colon, password = login.partition(":")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        secret = unquote(password) if colon else None
        if "password_file" in options:
            secret = _read(options.pop("password_file"))
        partitions = options.pop("partitions", None)
        if partitions is not None and not (partitions.isdecimal() and int(partitions) > 0):
            raise KafkaUnusable(f"{redacted(url)}: partitions={partitions} is no number from 1")
        named = {NAMED.get(name, name): value for name, value in options.items()}
        _check(named, url)
        return cls(
            ",".join(servers),
            _TLS[parts.scheme],
            unquote(user) or None,
            secret,
            None if partitions is None else int(partitions),
            MappingProxyType(named),
        )

    def client(self) -> dict[str, Any]:
        """The settings of a client, as the driver takes them."""
        login = self.username is not None or self.mechanism is not None
        protocol = ("SASL_" if login else "") + ("SSL" if self.tls else "PLAINTEXT")
        settings: dict[str, Any] = {
            "bootstrap.servers": self.servers,
            "security.protocol": protocol,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
        }
        if self.username is not None:
            settings |= {"sasl.mechanism": "PLAIN", "sasl.username": self.username}
            settings["sasl.password"] = self.password or ""
        return settings | dict(self.options)

    @property
    def mechanism(self) -> str | None:
        """The SASL mechanism that is asked for by name."""
        return self.options.get("sasl.mechanism") or self.options.get("sasl.mechanisms")

    def hide(self, text: str) -> str:
        """A text (an error of the driver perhaps) without the secrets of these settings."""
        secrets = [value for name, value in self.options.items() if is_secret(name)]
        for secret in (*secrets, self.password):
            if secret:
                text = text.replace(secret, HIDDEN)
        return text

    def __repr__(self) -> str:
        return f"KafkaSettings({self})"

    def __str__(self) -> str:
        login = "" if self.username is None else f"{self.username}@"
        return f"{'kafkas' if self.tls else 'kafka'}://{login}{self.servers}"


def is_secret(name: str) -> bool:
    """Whether a setting must not be shown."""
    return any(part in name for part in _SECRET)


def redacted(url: str) -> str:
    """A URL without what must not be shown."""
    parts = urlsplit(url)
    login, at, hosts = parts.netloc.rpartition("@")
    user, colon, _ = login.partition(":")
    query = "&".join(
        f"{name}={HIDDEN if is_secret(name) and name != 'password_file' else value}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    shown = f"{user}{colon}{HIDDEN if colon else ''}{at}{hosts}"
    return f"{parts.scheme}://{shown}{parts.path}{'?' if query else ''}{query}"


def _check(options: Mapping[str, str], url: str) -> None:
    for name in options:
        if name in _OURS:
            raise KafkaUnusable(f"{redacted(url)}: {name} cannot be set: what is promised rests on it")
        if "." not in name:
            known = ", ".join(sorted((*NAMED, "partitions", "password_file")))
            raise KafkaUnusable(f"{redacted(url)}: no setting is named {name}: {known}, or librdkafka's own names")


def _with_port(host: str, url: str) -> str:
    name, colon, port = host.rpartition(":")
    if not colon or host.endswith("]"):  # an IPv6 address has its own colons
        return f"{host}:{PORT}"
    if not name or not port.isdecimal():
        raise KafkaUnusable(f"{redacted(url)}: {host!r} is no host:port")
    return host


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
    except OSError as error:
        raise KafkaUnusable(f"the password file {path} cannot be read: {error.strerror}") from error
