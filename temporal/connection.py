"""The one way to connect to Temporal: encrypted pydantic payloads, and retries that fit the caller."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.service import RetryConfig

from config.settings import Settings
from temporal.encryption import data_converter
from temporal.logs import runtime

_BRIEF = RetryConfig(initial_interval_millis=100, max_interval_millis=400, max_elapsed_time_millis=1000)


async def connect(settings: Settings) -> Client:
    """Make a client for a caller who waits: it connects on first use, and fails after about a second without a server.

    The SDK's own ten seconds of retries would break the API's promise of a 503 within two.
    """
    return await _connect(settings, retry_config=_BRIEF, lazy=True)


async def connect_patiently(settings: Settings) -> Client:
    """Make a client where no caller waits for an answer: it connects on first use, to a server that may be slow."""
    return await _connect(settings, retry_config=None, lazy=True, connect_timeout=timedelta(seconds=10))


async def connect_worker(settings: Settings) -> Client:
    """Make a client for a worker, and connect it.

    Raises:
        RuntimeError: The server cannot be reached.
    """
    return await _connect(settings, retry_config=None, lazy=False)


async def _connect(
    settings: Settings,
    *,
    retry_config: RetryConfig | None,
    lazy: bool,
    connect_timeout: timedelta = timedelta(seconds=1),
) -> Client:
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=data_converter(settings),
        lazy=lazy,
        connect_timeout=connect_timeout,
        plugins=[OpenTelemetryPlugin(add_temporal_spans=bool(settings.traces_endpoint))],
        retry_config=retry_config,
        runtime=runtime(settings.metrics_host, settings.temporal_metrics_port),
    )
