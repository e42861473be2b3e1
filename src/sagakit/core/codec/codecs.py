"""Messages to bytes and back, by the type's own annotations; old versions lifted by upcasters."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

import msgspec

from sagakit.core.codec.digests import in_one_way
from sagakit.core.messages import Message, stable_id
from sagakit.errors import InvalidMessage, PayloadTooLarge, UnknownMessage

MEBIBYTE = 1 << 20
Upcaster: TypeAlias = Callable[[dict[str, Any]], dict[str, Any]]

UNFIT = (TypeError, ValueError, OverflowError, RecursionError)
"""What encoders and decoders raise where a value does not fit."""

_PATH = re.compile(r" - at `\$(.*)`$")


def _write_model(value: Any) -> Any:
    """A pydantic model inside another message."""
    if hasattr(value, "__pydantic_fields__"):
        return msgspec.Raw(value.model_dump_json(by_alias=True, warnings=False).encode())
    raise TypeError(f"{type(value).__qualname__} is no type that a message can hold")


def _read_model(cls: type, value: Any) -> Any:
    if hasattr(cls, "__pydantic_fields__"):
        return cast(Any, cls).model_validate_json(_encoder.encode(value))
    raise TypeError(f"{cls.__qualname__} is no type that a message can hold")


_encoder = msgspec.json.Encoder(enc_hook=_write_model)
_plain = msgspec.json.Decoder(dict[str, Any])


class Codec:
    """One message class: its wire name, its version, and how it is written and read."""

    __slots__ = ("cls", "name", "read", "upcasters", "version", "write")

    def __init__(self, cls: type, name: str, version: int, upcasters: Mapping[int, Upcaster] | None = None) -> None:
        self.cls = cls
        self.name = name
        self.version = version
        self.upcasters = dict(upcasters or {})
        self.write: Callable[[Any], bytes] = _encoder.encode
        """A message of this very version; raises one of `UNFIT`, as `read` does."""
        self.read: Callable[[bytes], Any]
        if hasattr(cls, "__pydantic_fields__"):
            self.write = lambda message: message.model_dump_json(by_alias=True, warnings=False).encode()
            self.read = cast(Any, cls).model_validate_json
        else:
            try:
                self.read = msgspec.json.Decoder(cls, dec_hook=_read_model).decode
            except TypeError as error:
                raise InvalidMessage(f"{name}: {error}") from error

    def encode(self, message: object) -> bytes:
        """The payload of a message; InvalidMessage if a value cannot be written."""
        try:
            return self.write(message)
        except UNFIT as error:
            raise self.unfit(error) from error

    def decode(self, payload: bytes, version: int | None = None) -> Any:
        """The message of a payload; InvalidMessage names the field that does not fit."""
        try:
            if version is not None and version != self.version:
                payload = self._lift(payload, version)
            return self.read(payload)
        except UNFIT as error:
            raise self.unfit(error) from error

    def unfit(self, error: Exception) -> InvalidMessage:
        """What is raised for an error of `write` or `read`."""
        return InvalidMessage(f"{self.name}: {_in_words(error)}")

    def digest(self, message: Any) -> str:
        """The same for messages that say the same only, in every process: whatever the order of their sets and dicts,
        and whether or not this code knows further fields that have what their class gives."""
        return stable_id(self.name, in_one_way(message, self.encode(message)).decode())

    def _lift(self, payload: bytes, version: int) -> bytes:
        if version > self.version:
            raise UnknownMessage(
                f"{self.name} version {version} is newer than this code's {self.version}: update the code"
            )
        fields = _plain.decode(payload)
        for old in range(version, self.version):
            if old not in self.upcasters:
                raise UnknownMessage(
                    f"{self.name} version {version} is stored, the code knows {self.version}: "
                    f"declare an upcaster for version {old}"
                )
            try:
                fields = self.upcasters[old](fields)
            except Exception as error:  # the user's function
                raise InvalidMessage(
                    f"{self.name}: the upcaster for version {old} failed: {type(error).__name__}: {error}"
                ) from error
        return _encoder.encode(fields)


class Codecs:
    """All message classes of an app."""

    def __init__(self, max_payload: int = MEBIBYTE) -> None:
        self.max_payload = max_payload
        self.by_class: dict[type, Codec] = {}
        self.by_name: dict[str, Codec] = {}

    def add(self, codec: Codec) -> None:
        """Know this class; a name that another class has is the caller's error."""
        self.by_class[codec.cls] = codec
        self.by_name[codec.name] = codec

    def of(self, message: object) -> Codec:
        """The codec of a message by its very class."""
        try:
            return self.by_class[message.__class__]
        except KeyError:
            raise UnknownMessage(
                f"{type(message).__qualname__} is not a message of this app: no module handles, emits or takes it"
            ) from None

    def named(self, name: str) -> Codec:
        """The codec of a wire name."""
        try:
            return self.by_name[name]
        except KeyError:
            near = sorted(known for known in self.by_name if known.endswith(f".{name}"))
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise UnknownMessage(f"no class of this app claims the message type {name!r}{hint}") from None

    def seal(self, message: object) -> tuple[Codec, bytes, Any]:
        """A message as the log will hold it: its payload, and what a replay will read from that."""
        codec = self.by_class.get(message.__class__) or self.of(message)
        try:
            payload = codec.write(message)
            if len(payload) > self.max_payload:
                raise PayloadTooLarge(
                    f"{codec.name}: {len(payload)} bytes, at most {self.max_payload}: "
                    "keep large data elsewhere and send its id"
                )
            return codec, payload, codec.read(payload)
        except UNFIT as error:
            raise codec.unfit(error) from error

    def decode(self, name: str, version: int, payload: bytes) -> Message:
        """The message that a row of the log holds."""
        return self.named(name).decode(payload, version)


def _in_words(error: Exception) -> str:
    if hasattr(error, "errors"):  # pydantic: every field at once
        found = cast(list[dict[str, Any]], cast(Any, error).errors())
        return "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in found)
    if isinstance(error, RecursionError):  # Python's own words differ from version to version
        return "it contains itself, or too much inside one another"
    text = str(error)
    path = _PATH.search(text)
    return f"{path[1].lstrip('.') or 'the message'}: {text[: path.start()]}" if path else text
