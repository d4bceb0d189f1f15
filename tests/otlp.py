"""A receiver of spans, as collectors are: OTLP over HTTP, in protobuf."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Span(NamedTuple):
    """One span.

    Attributes:
        parent: The id of the span that caused it; empty for a root.
        links: The traces that it names.
    """

    trace: str
    id: str
    parent: str
    process: str
    name: str
    is_error: bool
    attributes: dict[str, str]
    links: tuple[str, ...] = ()


class Spans:
    """What has been received.

    Attributes:
        bodies: As it came.
    """

    def __init__(self) -> None:
        self.port = 0
        self.bodies: list[bytes] = []
        self._received: list[Span] = []

    @property
    def endpoint(self) -> str:
        """Where processes send their spans."""
        return f"http://127.0.0.1:{self.port}/v1/traces"

    def of(self, trace: str) -> list[Span]:
        """The spans of a trace, in the order in which they came."""
        return [span for span in list(self._received) if span.trace == trace]

    def names(self) -> set[str]:
        """The names of all spans."""
        return {span.name for span in list(self._received)}

    def receive(self, body: bytes) -> None:
        """Keep the spans of a request."""
        self.bodies.append(body)
        request = ExportTraceServiceRequest.FromString(body)
        for of_process in request.resource_spans:
            resource = {each.key: each.value.string_value for each in of_process.resource.attributes}
            for scope in of_process.scope_spans:
                self._received += [
                    Span(
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        resource["service.name"],
                        span.name,
                        span.status.code == span.status.STATUS_CODE_ERROR,
                        {each.key: each.value.string_value for each in span.attributes},
                        tuple(link.trace_id.hex() for link in span.links),
                    )
                    for span in scope.spans
                ]


@contextmanager
def receiver() -> Iterator[Spans]:
    """Receive spans on a free port."""
    spans = Spans()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            spans.receive(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        spans.port = server.server_address[1]
        Thread(target=server.serve_forever, daemon=True).start()
        yield spans
        server.shutdown()
