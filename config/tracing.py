"""Tracing: every process continues the trace that a request began, through Temporal and Kafka to the last consumer.

Spans are not exported yet; what flows is their context (W3C `traceparent`), so that messages and provider calls of
one booking can be distinguished from others'.
"""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from temporalio.contrib.opentelemetry import create_tracer_provider


def configure() -> None:
    """Let this process take part in traces."""
    # What is recorded and sent nowhere is waste; a span that is not recorded passes its context on as well.
    trace.set_tracer_provider(create_tracer_provider(sampler=ALWAYS_OFF))
