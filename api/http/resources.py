"""What a process of the API keeps open while it runs, and how routes ask for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.elasticsearch import EventSearch
from adapters.internal.audit_log import AuditLogClient
from adapters.internal.bookings import BookingHistory
from adapters.redis.availability import SeatAvailability
from adapters.redis.hold_quota import HoldQuota
from adapters.redis.seat_locks import SeatLocks
from config.settings import Service, Settings, secret
from db.engine import open_engine
from db.identity.audit_log import AuditLog
from db.identity.vault import Vault
from temporal.connection import connect


@dataclass(frozen=True)
class Resources:
    """Connections that open on first use, so that the API starts while a server is down.

    Attributes:
        engines: The databases of the services that this process serves, and of no others.
    """

    settings: Settings
    engines: Mapping[Service, AsyncEngine]
    vault: Vault
    audit_log: AuditLog
    audit_log_client: AuditLogClient
    redis: Redis
    locks: SeatLocks
    availability: SeatAvailability
    hold_quota: HoldQuota
    temporal: Client
    search: EventSearch
    booking_history: BookingHistory


@asynccontextmanager
async def open_resources(settings: Settings, databases: Collection[Service]) -> AsyncIterator[Resources]:
    async with AsyncExitStack() as stack:
        engines = {service: open_engine(settings.database_url(service)) for service in databases}
        for engine in engines.values():
            stack.push_async_callback(engine.dispose)
        redis = open_redis(settings)
        stack.push_async_callback(redis.aclose)
        search = EventSearch(settings.elasticsearch_url)
        stack.push_async_callback(search.close)
        audit_log_client = AuditLogClient(settings.identity_address, secret(settings.internal_token))
        stack.push_async_callback(audit_log_client.close)
        booking_history = BookingHistory(settings.api_url)
        stack.push_async_callback(booking_history.close)
        yield Resources(
            settings=settings,
            engines=engines,
            vault=open_vault(settings),
            audit_log=AuditLog(secret(settings.audit_log_secret)),
            audit_log_client=audit_log_client,
            redis=redis,
            locks=SeatLocks(redis),
            availability=SeatAvailability(redis),
            hold_quota=HoldQuota(redis, settings.live_holds, settings.unpaid_holds),
            temporal=await connect(settings),
            search=search,
            booking_history=booking_history,
        )


def open_vault(settings: Settings) -> Vault:
    """What opens people's data."""
    return Vault(secret(settings.personal_data_keys).split(","), secret(settings.address_secret))


def open_redis(settings: Settings) -> Redis:
    """A client that gives up early enough for a 503 within two seconds, and in a rush waits instead of failing."""
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=50,
        timeout=0.7,
        socket_timeout=0.7,
        socket_connect_timeout=0.7,
        retry=Retry(NoBackoff(), 1),  # once, for a connection that has died in the pool
    )
    return Redis.from_pool(pool)


# A dependency that is no coroutine function would cost a thread's turn each.
async def resources(request: Request) -> Resources:
    opened: Resources = request.app.state.resources
    return opened


def _engine(service: Service) -> Callable[[Resources], Coroutine[None, None, AsyncEngine]]:
    async def engine(opened: Open) -> AsyncEngine:
        return opened.engines[service]

    return engine


Open = Annotated[Resources, Depends(resources)]
IdentityDatabase = Annotated[AsyncEngine, Depends(_engine("identity"))]
CatalogueDatabase = Annotated[AsyncEngine, Depends(_engine("catalogue"))]
PaymentDatabase = Annotated[AsyncEngine, Depends(_engine("payment"))]
ReservationDatabase = Annotated[AsyncEngine, Depends(_engine("reservation"))]
