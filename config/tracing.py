"""Tracing: every process continues the trace that a request began, through Temporal and Kafka to the last consumer.

With `SEATWRIGHT_TRACES_ENDPOINT` each step is a span there. The collector decides which traces it keeps: only it sees
whether a trace as a whole has failed, or was slow. Without it, what flows is the context alone (W3C `traceparent`).
"""

from __future__ import annotations

from threading import Thread
from typing import Final

from opentelemetry import trace

_LONGEST_FLUSH: Final = 2.0  # seconds; a process that ends does not wait longer for the collector


def configure(process: str = "", endpoint: str = "", details: float = 1) -> None:
    """Let this process take part in traces.

    The libraries are imported only here and only if they are used: they were most of the start of a command.

    Args:
        process: The name of its spans' service.
        endpoint: Where they are sent (OTLP over HTTP); without it, they are not recorded.
        details: The share of the traces that have all details.
    """
    if endpoint:
        from config.sent_spans import send_spans

        send_spans(process, endpoint, details)
        return
    from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
    from temporalio.contrib.opentelemetry import create_tracer_provider

    # What is recorded and sent nowhere is waste; a span that is not recorded passes its context on as well.
    trace.set_tracer_provider(create_tracer_provider(sampler=ALWAYS_OFF))


def flush() -> None:
    """Send the spans that wait; a process calls it when it ends.

    The provider's own limit of time limits nothing: a collector that hangs would keep the process for half a minute.
    """
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

    provider = trace.get_tracer_provider()
    if isinstance(provider, ReplaySafeTracerProvider):
        sending = Thread(target=provider.force_flush, name="last spans", daemon=True)
        sending.start()
        sending.join(_LONGEST_FLUSH)
