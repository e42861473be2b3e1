"""What people look for, and what matches it."""

from __future__ import annotations

import msgspec

from sagakit.core.commit import ENDED, Delivery
from sagakit.core.queries import DeliveryQuery, InstanceQuery, Listed


def is_wanted(query: DeliveryQuery, delivery: Delivery) -> bool:
    return (
        delivery.id > query.after
        and query.state in (None, delivery.state)
        and query.consumer in (None, delivery.consumer)
        and query.type in (None, delivery.envelope.type)
        and query.lane in (None, delivery.lane)
        and query.sender in (None, delivery.envelope.sender)
        and (query.error is None or query.error in (delivery.error or ""))
    )


def is_listed(query: InstanceQuery, entry: Listed) -> bool:
    search = entry.search
    return (
        query.type in (None, search.type)
        and (query.status in (None, search.status) or (query.status == "live" and search.status not in ENDED))
        and query.key in (None, search.key)
        and query.trace_id in (None, search.trace_id)
        and query.correlation_id in (None, search.correlation_id)
        and (query.started_before is None or search.started_at < query.started_before)
        and (query.started_after is None or search.started_at > query.started_after)
        and _comes_after(query, entry.row.number)
        and (not query.attributes or _has(search.attributes, query.attributes))
    )


def _comes_after(query: InstanceQuery, number: int) -> bool:
    if query.after is None:
        return True
    return number < query.after if query.order == "newest" else number > query.after


def _has(stored: bytes, attributes: tuple[tuple[str, str], ...]) -> bool:
    values = msgspec.json.decode(stored, type=dict[str, msgspec.Raw])
    return all(name in values and _text(values[name]) == value for name, value in attributes)


def _text(value: msgspec.Raw) -> str:
    """The text of a string; of everything else its JSON."""
    text = bytes(value)
    return msgspec.json.decode(text, type=str) if text.startswith(b'"') else text.decode()
