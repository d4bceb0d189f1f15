"""Records the spans of a process and sends them to the receiver; `config.tracing` says when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.aiohttp_client import AioHttpClientInstrumentor
from opentelemetry.instrumentation.psycopg import PsycopgInstrumentor
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes
from temporalio.contrib.opentelemetry import create_tracer_provider

_SENT_EVERY: Final = 1000  # milliseconds; what a killed process has not sent is lost


def send_spans(process: str, endpoint: str) -> None:
    """Send the spans of this process, and those of the libraries that it uses, under the process's name."""
    resource = Resource.create({SERVICE_NAME: process, SERVICE_NAMESPACE: "seatwright"})
    provider = create_tracer_provider(resource=resource, sampler=ParentBased(_Roots()))
    exporter = OTLPSpanExporter(endpoint)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_SENT_EVERY))
    trace.set_tracer_provider(provider)
    PsycopgInstrumentor().instrument()
    RedisInstrumentor().instrument()
    AioHttpClientInstrumentor().instrument()


class _Roots(Sampler):
    """Begins no trace with a call of a server: what a process does on its own, such as to look for work, is noise."""

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Temporal's spans have a colon in their names, such as `StartWorkflow:Booking`; those may begin a trace."""
        begins = kind is not SpanKind.CLIENT or ":" in name
        sampler = ALWAYS_ON if begins else ALWAYS_OFF
        return sampler.should_sample(parent_context, trace_id, name, kind, attributes, links, trace_state)

    def get_description(self) -> str:
        """Its name."""
        return "NoCallsAsRoots"
