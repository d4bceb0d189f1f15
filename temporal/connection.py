"""The one way to connect to Temporal: pydantic payloads, and a retry budget that lets the API answer in time."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RetryConfig

from config.settings import Settings


async def connect(settings: Settings) -> Client:
    """A client that connects on first use.

    A call to a server that cannot be reached fails with `RPCError` (UNAVAILABLE) after about a second: the SDK's
    own ten seconds would break the promise of a 503 within two.
    """
    return await Client.connect(
        settings.temporal_address,
        namespace=settings.temporal_namespace,
        data_converter=pydantic_data_converter,
        lazy=True,
        connect_timeout=timedelta(seconds=1),
        retry_config=RetryConfig(initial_interval_millis=100, max_interval_millis=400, max_elapsed_time_millis=1000),
    )
