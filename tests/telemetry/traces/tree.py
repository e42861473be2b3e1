"""Spans as a tree, for tests and for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from sagakit.telemetry.traces.places import Place
from sagakit.telemetry.traces.spans import Span


class Collected:
    """A sink that keeps what it gets."""

    def __init__(self, *, sampled: bool = True) -> None:
        self.spans: list[Span] = []
        self.sampled = sampled

    def samples(self, parent: Place | None, trace_id: str, name: str) -> bool:
        return self.sampled if parent is None else parent.sampled

    def emit(self, span: Span) -> None:
        self.spans.append(span)

    def close(self) -> None:
        """Nothing is sent."""


class Node(NamedTuple):
    """A span as it was received."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    began: int
    ended: int
    attributes: dict[str, object]
    events: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    error: str = ""


def nodes(spans: Sequence[Span]) -> list[Node]:
    return [
        Node(
            span.place.trace_id,
            span.place.span_id,
            span.parent.span_id if span.parent else "",
            span.name,
            span.kind,
            span.began,
            span.ended,
            dict(span.attributes),
            tuple(event.name for event in span.events),
            tuple(link.span_id for link in span.links),
            span.error or "",
        )
        for span in spans
    ]


def orphans(found: Sequence[Node], roots: Sequence[str] = ("",)) -> list[str]:
    """The names of the spans whose parent is not there."""
    known = {node.span_id for node in found} | set(roots)
    return [node.name for node in found if node.parent_id not in known]


def drawn(found: Sequence[Node], *, without: Sequence[str] = (), times: bool = False) -> str:
    """One line a span, each under its parent, in the order of their beginning."""
    below: defaultdict[str, list[Node]] = defaultdict(list)
    known = {node.span_id for node in found}
    for node in sorted(found, key=lambda node: node.began):
        if not node.name.startswith(tuple(without)) if without else True:
            below[node.parent_id if node.parent_id in known else ""].append(node)
    first = min((node.began for node in found), default=0)
    lines: list[str] = []

    def draw(node: Node, edge: str, indent: str) -> None:
        took = f"  [{(node.began - first) / 1e6:.1f} +{(node.ended - node.began) / 1e6:.1f} ms]" if times else ""
        outcome = f" = {node.attributes['sagakit.outcome']}" if "sagakit.outcome" in node.attributes else ""
        trouble = f"  !{','.join(node.events)}" if node.events else ""
        lines.append(f"{edge}{node.name} ({node.kind}){outcome}{trouble}{took}")
        children = below[node.span_id]
        for number, child in enumerate(children, 1):
            last = number == len(children)
            draw(child, f"{indent}{'└─ ' if last else '├─ '}", f"{indent}{'   ' if last else '│  '}")

    for root in below[""]:
        draw(root, "", "")
    return "\n".join(lines)
