"""Where the audit looks, and how much of it."""

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


class Sources(NamedTuple):
    """Attributes:
    databases: One engine for each service whose database is read.
    redis: A client that decodes answers.
    event_id: Look at one event's bookings only; None for all.
    lag: How long a domain event may be on its way to the consumers before they are judged.
    payment_window: How long one payment attempt may keep the seats.
    """

    databases: Mapping[Service, AsyncEngine]
    redis: Redis
    temporal: Client
    provider: SandboxLedger
    kafka: KafkaLog
    search: EventSearch
    event_id: UUID | None
    lag: timedelta
    payment_window: timedelta

    @asynccontextmanager
    async def snapshot(self, service: Service) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads, and sees the database as it is at its first statement."""
        async with self.databases[service].connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            yield connection

    async def rows(self, statement: str, service: Service = "reservation", **values: object) -> list[Row[Any]]:
        """Rows of a database; see `parameters`."""
        return [row async for row in self.stream(statement, service, **values)]

    async def stream(
        self, statement: str, service: Service = "reservation", **values: object
    ) -> AsyncIterator[Row[Any]]:
        """Rows of a database, never all of them at once; see `parameters`."""
        async with self.snapshot(service) as connection:
            found = await connection.stream(
                text(statement), self.parameters(statement, **values), execution_options={"yield_per": 2000}
            )
            async for some in found.partitions():  # waiting for each row alone would take most of the time
                for row in some:
                    yield row

    def parameters(self, statement: str, **values: object) -> dict[str, object]:
        """What a statement names: its own values, `:event_id` (null for all), `:lag` or `:payment_window`."""
        known = {"event_id": self.event_id, "lag": self.lag, "payment_window": self.payment_window}
        return {name: value for name, value in known.items() if f":{name}" in statement} | values


OF_EVENT = "(CAST(:event_id AS uuid) IS NULL OR {} = CAST(:event_id AS uuid))"
"""A condition on a column with an event's id: the one that is audited, or any."""


@asynccontextmanager
async def open_sources(settings: Settings, event_id: UUID | None, lag: timedelta) -> AsyncIterator[Sources]:
    """Connections for one audit."""
    async with AsyncExitStack() as closing:
        databases = {
            service: open_engine(settings.database_url(service), pool_size=2, serves_callers=False)
            for service in _SERVICES
        }
        for engine in databases.values():
            closing.push_async_callback(engine.dispose)
        redis = Redis.from_url(settings.redis_url.get_secret_value(), socket_connect_timeout=2, decode_responses=True)
        closing.push_async_callback(redis.aclose)
        provider, search = SandboxLedger(settings.sandbox_url), EventSearch(settings.elasticsearch_url)
        closing.push_async_callback(provider.close)
        closing.push_async_callback(search.close)
        yield Sources(
            databases=databases,
            redis=redis,
            temporal=await connect_patiently(settings),
            provider=provider,
            kafka=KafkaLog(settings.kafka_bootstrap),
            search=search,
            event_id=event_id,
            lag=lag,
            payment_window=timedelta(seconds=settings.payment_window),
        )
