"""The Temporal workers: for each service the workflows and activities of its own task queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Any

from redis.asyncio import BlockingConnectionPool, Redis
from temporalio.client import Client
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.cancellation import CancellationActivities
from activities.catalogue import CatalogueActivities
from activities.inventory import InventoryActivities
from activities.payment import PaymentActivities
from activities.refund import RefundActivities
from activities.reservation import ReservationActivities
from activities.returned_tickets import ReturnedTickets
from adapters.seat_locks import SeatLocks
from adapters.stripe import StripeGateway
from config.settings import Settings, secret
from db.engine import open_engine
from temporal import queues
from temporal.connection import connect_worker
from temporal.policies import booking_policy
from workers.revival import keep_reviving
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import EstimateCancellation, EventCancellation
from workflows.publication import PublishEvent
from workflows.refund import RefundWorkflow

RESERVATION_WORKFLOWS = [BookingWorkflow, RefundWorkflow, EventCancellation, EstimateCancellation]
SERVICES = (queues.CATALOGUE, queues.RESERVATION, queues.PAYMENT)

WORKFLOW_RUNNER = SandboxedWorkflowRunner(
    restrictions=SandboxRestrictions.default.with_passthrough_modules(
        "activities",
        "adapters",
        "db",
        "domain",
        "temporal",
        "sqlalchemy",
        "redis",
        "psycopg",
        "opentelemetry",
        "stripe",
    )
)


async def run(settings: Settings, services: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Work for the given services until told to stop; activities in flight get some seconds to finish."""
    client = await connect_worker(settings)
    async with AsyncExitStack() as stack:
        for service in services:
            worker = await stack.enter_async_context(_WORKERS[service](settings, client))
            await stack.enter_async_context(worker)
        ready.set()
        await stop.wait()


def _worker(client: Client, queue: str, workflows: Sequence[type], activities: Sequence[Callable[..., Any]]) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        workflow_runner=WORKFLOW_RUNNER,
        graceful_shutdown_timeout=timedelta(seconds=5),
    )


@asynccontextmanager
async def _catalogue(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    engine = open_engine(settings.database_url("catalogue"), pool_size=2)
    try:
        yield _worker(client, queues.CATALOGUE, [PublishEvent], methods_of(CatalogueActivities(engine)))
    finally:
        await engine.dispose()


@asynccontextmanager
async def _reservation(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    engine = open_engine(settings.database_url("reservation"))
    # Wait for a connection in a rush: redis-py's default pool would rather fail.
    pool = BlockingConnectionPool.from_url(
        settings.redis_url.get_secret_value(), max_connections=50, timeout=2, socket_timeout=2, socket_connect_timeout=1
    )
    async with Redis.from_pool(pool) as redis:
        activities = [
            *methods_of(ReservationActivities(engine, SeatLocks(redis))),
            *methods_of(ReturnedTickets(engine, SeatLocks(redis))),
            *methods_of(InventoryActivities(engine)),
            *methods_of(CancellationActivities(engine)),
        ]
        reviving = asyncio.create_task(keep_reviving(engine, client, booking_policy(settings)))
        try:
            yield _worker(client, queues.RESERVATION, RESERVATION_WORKFLOWS, activities)
        finally:
            reviving.cancel()
            await engine.dispose()


@asynccontextmanager
async def _payment(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    engine = open_engine(settings.database_url("payment"))
    stripe = StripeGateway(
        secret(settings.stripe_api_key), base_url=settings.stripe_api_base, total_seconds=settings.payment_timeout
    )
    try:
        gateways = {stripe.name: stripe}
        activities = [
            *methods_of(PaymentActivities(engine, gateways)),
            *methods_of(RefundActivities(engine, gateways)),
        ]
        yield _worker(client, queues.PAYMENT, [], activities)
    finally:
        await stripe.close()
        await engine.dispose()


_WORKERS = {queues.CATALOGUE: _catalogue, queues.RESERVATION: _reservation, queues.PAYMENT: _payment}


def methods_of(activities: object) -> list[Callable[..., Any]]:
    """The methods that are activities."""
    methods = (getattr(activities, name) for name in dir(activities) if not name.startswith("_"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]
