"""What leaves a process as a trace: each step, the details of a share, no text of an error; and no wait at its end."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode, Tracer

from config.sent_spans import WithoutTexts
from config.trace_details import Begun, Details, Share

PERSON = "Ada Lovelace <ada@example.test>"


class Recorded:
    """A process whose spans stay here."""

    def __init__(self, share: float = 1) -> None:
        self._kept = InMemorySpanExporter()
        self._provider = TracerProvider()
        self._provider.add_span_processor(SimpleSpanProcessor(WithoutTexts(self._kept)))
        self.steps: Tracer = self._provider.get_tracer("steps")
        self.details = Details(self._provider.get_tracer("details"), Share(share))

    def spans(self) -> dict[str, ReadableSpan]:
        return {span.name: span for span in self._kept.get_finished_spans()}


def test_an_error_leaves_as_its_kind_without_its_text_and_stack() -> None:
    process = Recorded()
    with suppress(ValueError), process.steps.start_as_current_span("step") as step:
        step.add_event("note", {"text": PERSON})
        raise ValueError(PERSON)
    [span] = process.spans().values()
    assert span.status.status_code is StatusCode.ERROR
    assert [dict(event.attributes or {}) for event in span.events] == [{}, {"exception.type": "ValueError"}]
    assert "Ada" not in span.to_json()


@pytest.mark.parametrize("share", [0, 1])
def test_a_detail_is_recorded_in_its_share_or_if_it_fails_or_is_slow(share: float) -> None:
    process, text = Recorded(share), {"db.statement": "SELECT 1"}
    with process.steps.start_as_current_span("step") as step:
        for name, seconds, error in (("fast", 0, None), ("slow", 1, None), ("failed", 0, ConnectionError(PERSON))):
            begun = process.details.begin()
            assert begun
            process.details.end(Begun(begun.cause, begun.at - seconds * 10**9), name, text, error)
    spans = process.spans()
    assert spans.keys() == {"step", "slow", "failed"} | ({"fast"} if share else set())
    causes = {span.parent.span_id for span in spans.values() if span.parent}
    assert causes == {step.get_span_context().span_id}
    assert spans["slow"].attributes == text
    assert (spans["slow"].end_time or 0) - (spans["slow"].start_time or 0) > 10**9
    assert {name for name, span in spans.items() if span.status.status_code is StatusCode.ERROR} == {"failed"}


def test_details_begin_no_trace() -> None:
    assert Recorded().details.begin() is None


def test_the_share_with_details_is_the_same_in_each_process() -> None:
    one, other = Share(0.25), Share(0.25)
    traces = [TracerProvider().id_generator.generate_trace_id() for _ in range(4000)]
    chosen = [trace for trace in traces if one.has(trace)]
    assert chosen == [trace for trace in traces if other.has(trace)]
    assert 800 < len(chosen) < 1200
    assert all(Share(1).has(trace) for trace in traces)
    assert not any(Share(0).has(trace) for trace in traces)


@pytest.fixture
def deaf() -> Iterator[str]:
    """A collector that takes connections and answers none."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1/traces"


ENDS = """
import sys, time
from config import tracing
from opentelemetry import trace
tracing.configure("work", sys.argv[1])
for _ in range(5000):
    trace.get_tracer("test").start_span("step").end()
began = time.monotonic()
tracing.flush()
print(time.monotonic() - began, flush=True)
"""


def test_a_process_that_ends_waits_two_seconds_for_a_collector_at_most(deaf: str) -> None:
    """A collector that hangs holds a request for ten seconds, and Python would wait for the rest at its exit."""
    with subprocess.Popen([sys.executable, "-c", ENDS, deaf], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert float(process.stdout.readline()) < 3
        process.wait(timeout=5)
