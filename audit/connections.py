"""The connections to every system that the audit reads, and the scope of one audit."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from temporalio.client import Client

from adapters.elasticsearch import EventSearch
from audit.probes.kafka_log import KafkaLog
from audit.probes.sandbox_ledger import SandboxLedger
from config.settings import Service, Settings
from db.engine import open_engine
from temporal.connection import connect_patiently

_SERVICES: tuple[Service, ...] = ("reservation", "payment", "catalogue", "analytics")


class Connections(NamedTuple):
    """Open connections and the scope of one audit.

    Attributes:
    databases: One engine for each service whose database is read.
    redis: A client that decodes replies to text.
    event_ids: The only events whose bookings are checked; None for all events.
    lag: The time that a domain event may take to reach the consumers before a check reports it missing.
    payment_window: The time that one payment attempt may keep the seats.
    """

    databases: Mapping[Service, AsyncEngine]
    redis: Redis
    temporal: Client
    provider: SandboxLedger
    kafka: KafkaLog
    search: EventSearch
    event_ids: list[UUID] | None
    lag: timedelta
    payment_window: timedelta

    @asynccontextmanager
    async def read_only(self, service: Service) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction that sees the database as of its first statement."""
        async with self.databases[service].connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    async def rows(self, statement: str, service: Service = "reservation", **values: object) -> list[Row[Any]]:
        """Read all rows of a query; `parameters` binds its parameters."""
        return [row async for row in self.stream(statement, service, **values)]

    async def stream(
        self, statement: str, service: Service = "reservation", **values: object
    ) -> AsyncIterator[Row[Any]]:
        """Read rows in batches, so that they never all lie in memory; `parameters` binds the query's parameters."""
        async with self.read_only(service) as connection:
            found = await connection.stream(
                text(statement), self.parameters(statement, **values), execution_options={"yield_per": 2000}
            )
            async for some in found.partitions():  # awaiting each row would take most of the time
                for row in some:
                    yield row

    def parameters(self, statement: str, **values: object) -> dict[str, object]:
        """Bind the given values, and those of `:event_ids` (null for all), `:lag` and `:payment_window` that occur."""
        known = {"event_ids": self.event_ids, "lag": self.lag, "payment_window": self.payment_window}
        return {name: value for name, value in known.items() if f":{name}" in statement} | values


EVENT_FILTER = "(CAST(:event_ids AS uuid[]) IS NULL OR {} = ANY (CAST(:event_ids AS uuid[])))"
"""An SQL condition on an event id column: it is one of the audited events, or all events are audited."""


@asynccontextmanager
async def open_connections(
    settings: Settings, event_ids: list[UUID] | None, lag: timedelta
) -> AsyncIterator[Connections]:
    """Open the connections for one audit, and close them at the end."""
    async with AsyncExitStack() as closing:
        databases = {
            service: open_engine(settings.database_url(service), pool_size=4, serves_callers=False)
            for service in _SERVICES
        }
        for engine in databases.values():
            closing.push_async_callback(engine.dispose)
        redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=2, decode_responses=True)
        closing.push_async_callback(redis.aclose)
        provider, search = SandboxLedger(settings.sandbox_url), EventSearch(settings.elasticsearch_url)
        closing.push_async_callback(provider.close)
        closing.push_async_callback(search.close)
        yield Connections(
            databases=databases,
            redis=redis,
            temporal=await connect_patiently(settings),
            provider=provider,
            kafka=KafkaLog(settings.kafka_bootstrap),
            search=search,
            event_ids=event_ids,
            lag=lag,
            payment_window=timedelta(seconds=settings.payment_window),
        )
