"""Records the spans of a process and sends them to the collector; `config.tracing` says when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import requests
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_NAMESPACE, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    ParentBased,
    Sampler,
    SamplingResult,
)
from opentelemetry.trace import Link, SpanKind, Status, Tracer, TraceState
from opentelemetry.util.types import Attributes
from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor, ReplaySafeTracerProvider, create_tracer_provider

from config.trace_details import Details, MomentTracer, Share

_SENT_EVERY: Final = 1000  # milliseconds; what a killed process has not sent is lost
_KIND_OF_ERROR: Final = "exception.type"


def send_spans(process: str, endpoint: str, details: float) -> None:
    """Send the spans of this process under its name; `config.tracing.configure` has the arguments."""
    share = Share(details)
    provider = _Provider(process, share)
    exporter = WithoutTexts(OTLPSpanExporter(endpoint, session=_session()))
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=_SENT_EVERY))
    trace.set_tracer_provider(provider)
    recorded = Details(provider.get_tracer("seatwright.details"), share)
    recorded.watch_sql()
    recorded.watch_redis()


def _session() -> requests.Session:
    """Without what `requests` would look up in files and variables for each batch."""
    session = requests.Session()
    session.trust_env = False
    return session


class _Provider(ReplaySafeTracerProvider):
    """Keeps the tracer of Temporal's plugin, which asks for it at each span."""

    def __init__(self, process: str, share: Share) -> None:
        resource = Resource.create({SERVICE_NAME: process, SERVICE_NAMESPACE: "seatwright"})
        ids = create_tracer_provider(shutdown_on_exit=False).id_generator()
        super().__init__(TracerProvider(ParentBased(_Roots()), resource, shutdown_on_exit=False, id_generator=ids), ids)
        self._of_temporal = MomentTracer(super().get_tracer(OpenTelemetryInterceptor.__module__), share)

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Attributes = None,
    ) -> Tracer:
        """The tracer of a module."""
        if instrumenting_module_name == OpenTelemetryInterceptor.__module__:
            return self._of_temporal
        return super().get_tracer(instrumenting_module_name, instrumenting_library_version, schema_url, attributes)


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


class WithoutTexts(SpanExporter):
    """Passes spans on without the texts of errors and their stacks: Postgres and providers quote data of persons."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Pass them on."""
        return self._exporter.export([_without_texts(span) for span in spans])

    def shutdown(self) -> None:
        """Close the connection."""
        self._exporter.shutdown()


def _without_texts(span: ReadableSpan) -> ReadableSpan:
    if not span.events and span.status.description is None:
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=span.attributes,
        events=[Event(event.name, _kind_of(event), event.timestamp) for event in span.events],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _kind_of(event: Event) -> Attributes:
    kind = (event.attributes or {}).get(_KIND_OF_ERROR)
    return {} if kind is None else {_KIND_OF_ERROR: kind}
