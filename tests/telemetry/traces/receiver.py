"""An OTLP receiver: takes spans over HTTP as protobuf, as a collector would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from gzip import decompress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from tests.telemetry.traces.tree import Node

PATIENCE = 60.0


class Receiver:
    """What has come in so far."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.nodes: list[Node] = []
        self.services: set[str] = set()
        self.changed = Condition()

    def take(self, body: bytes) -> None:
        """One export."""
        request = ExportTraceServiceRequest.FromString(body)
        with self.changed:
            for resource in request.resource_spans:
                names = {one.key: one.value.string_value for one in resource.resource.attributes}
                self.services.add(names["service.name"])
                self.nodes += [_node(span) for scope in resource.scope_spans for span in scope.spans]
            self.changed.notify_all()

    def wait(self, *names: str) -> list[Node]:
        """All spans, once some with these names are here."""

        return self.wait_until(lambda nodes: set(names) <= {node.name for node in nodes})

    def wait_until(self, complete: Callable[[list[Node]], bool]) -> list[Node]:
        """All spans, once they are as they are to be."""
        with self.changed:
            found = self.changed.wait_for(lambda: complete(self.nodes), PATIENCE)
            assert found, sorted({node.name for node in self.nodes})
            return list(self.nodes)


def _node(span: Span) -> Node:
    return Node(
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.name,
        Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
        span.start_time_unix_nano,
        span.end_time_unix_nano,
        {one.key: getattr(one.value, one.value.WhichOneof("value") or "string_value") for one in span.attributes},
        tuple(event.name for event in span.events),
        tuple(link.span_id.hex() for link in span.links),
        span.status.message,
    )


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on a free port; its `url` is what OTEL_EXPORTER_OTLP_ENDPOINT takes."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.take(decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
