"""What a process of the API keeps open while it runs, and how routes ask for it.

Every process has Redis and the databases of its services. All else is opened for the services that need it, so that no
process needs the secrets of another service.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from redis.asyncio import BlockingConnectionPool, Redis
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.internal.audit_log import AuditLogClient
from adapters.internal.personal_data import PersonalDataClient
from adapters.redis.pools import measured
from adapters.redis.retry import RetryOnce
from api.http.deadlines import abandoned_calls_ended
from config.settings import Service, Settings, secret
from db.engine import open_engine
from temporal.connection import connect

T = TypeVar("T")


@dataclass(frozen=True)
class Resources:
    """Connections that open on first use, so that the API starts while a server is down.

    Attributes:
        engines: The databases of the services that this process serves, and of no others.
        parts: What the openings of these services have made, by its type.
    """

    settings: Settings
    engines: Mapping[Service, AsyncEngine]
    redis: Redis
    parts: Mapping[type, object]

    def part(self, kind: type[T]) -> T:
        """What an opening has made.

        Raises:
            LookupError: No service of this process needs it.
        """
        found = self.parts[kind]
        assert isinstance(found, kind)
        return found


Opening = Callable[[Settings, Redis, AsyncExitStack], Awaitable[object]]
"""Opens one thing that a service needs; the stack closes it."""


@asynccontextmanager
async def open_resources(
    settings: Settings, databases: Collection[Service], openings: Collection[Opening]
) -> AsyncIterator[Resources]:
    """Open what a process needs, and close it at the end.

    Args:
        settings: With the secrets of the process's services.
        databases: The services whose databases it opens.
        openings: What else its services need.
    """
    async with AsyncExitStack() as stack:
        engines = {service: open_engine(settings.database_url(service)) for service in databases}
        for engine in engines.values():
            stack.push_async_callback(engine.dispose)
        redis = open_redis(settings)
        stack.push_async_callback(redis.aclose)
        parts = [await opening(settings, redis, stack) for opening in openings]
        stack.push_async_callback(abandoned_calls_ended)
        yield Resources(settings, engines, redis, {type(part): part for part in parts})


async def open_temporal(settings: Settings, redis: Redis, stack: AsyncExitStack) -> Client:
    """For services that start workflows, or send them commands."""
    return await connect(settings)


async def open_audit_log_client(settings: Settings, redis: Redis, stack: AsyncExitStack) -> AuditLogClient:
    """For services that record in identity's audit log."""
    client = AuditLogClient(settings.identity_address, secret(settings.internal_token))
    stack.push_async_callback(client.close)
    return client


async def open_personal_data(settings: Settings, redis: Redis, stack: AsyncExitStack) -> PersonalDataClient:
    """For services that keep words about people, sealed by identity."""
    client = PersonalDataClient(settings.identity_address, secret(settings.internal_token))
    stack.push_async_callback(client.close)
    return client


def open_redis(settings: Settings) -> Redis:
    """A client that gives up early enough for a 503 within two seconds; in a rush it waits for a free connection."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=50,
        timeout=0.7,
        socket_timeout=0.7,
        socket_connect_timeout=0.7,
        retry=RetryOnce(),
    )
    return measured(Redis.from_pool(pool), "seats")


# A dependency that is no coroutine function would cost a thread's turn each.
async def resources(request: Request) -> Resources:
    """What this process has open, for routes that need more than one part of it."""
    opened: Resources = request.app.state.resources
    return opened


def _engine(service: Service) -> Callable[[Resources], Coroutine[None, None, AsyncEngine]]:
    async def engine(opened: Open) -> AsyncEngine:
        return opened.engines[service]

    return engine


def part(kind: type[T]) -> Callable[[Resources], Coroutine[None, None, T]]:
    """A dependency on what an opening has made."""

    async def opened_part(opened: Open) -> T:
        return opened.part(kind)

    return opened_part


Open = Annotated[Resources, Depends(resources)]
Temporal = Annotated[Client, Depends(part(Client))]
IdentityDatabase = Annotated[AsyncEngine, Depends(_engine("identity"))]
CatalogueDatabase = Annotated[AsyncEngine, Depends(_engine("catalogue"))]
PaymentDatabase = Annotated[AsyncEngine, Depends(_engine("payment"))]
ReservationDatabase = Annotated[AsyncEngine, Depends(_engine("reservation"))]
