"""The Temporal workers: for each service the workflows and activities of its own task queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from importlib.metadata import version
from typing import Any, NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.worker import (
    FixedSizeSlotSupplier,
    ResourceBasedSlotConfig,
    ResourceBasedSlotSupplier,
    ResourceBasedTunerConfig,
    UnsandboxedWorkflowRunner,
    Worker,
    WorkerTuner,
)

from activities.catalogue.events import CatalogueActivities
from activities.payment.late_payments import LatePaymentActivities
from activities.payment.payments import PaymentActivities
from activities.payment.reconciliation import ReconciliationActivities
from activities.payment.refunds import RefundActivities
from activities.reservation.bookings import ReservationActivities
from activities.reservation.event_cancellations import CancellationActivities
from activities.reservation.exchanges import ExchangeActivities
from activities.reservation.inventory import InventoryActivities
from activities.reservation.refunds import ReturnedTickets
from adapters.internal.buyers import open_buyer
from adapters.internal.personal_data import PersonalDataClient
from adapters.payment.registry import total_calls_per_second
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks
from config.needs import needs_of
from config.settings import Settings, secret
from db.engine import open_engine
from domain.payment_gateway import PaymentGateway
from temporal import queues
from temporal.connection import connect_worker
from temporal.policies import booking_policy
from workers.sweepers.late_payments import keep_sweeping_late_payments
from workers.sweepers.loop import sweeping
from workers.sweepers.reconciliation_gauges import keep_counting_differences
from workers.sweepers.redis_backfill import keep_backfilling_redis
from workers.sweepers.workflow_recovery import keep_recovering_workflows
from workers.temporal.gateways import open_gateways, read_gateway_settings
from workers.temporal.redis_clients import open_for_seats
from workers.temporal.schedules import schedule_reconciliation
from workflows.booking import BookingWorkflow
from workflows.event_cancellation import EstimateCancellation, EventCancellation
from workflows.exchange import ExchangeWorkflow
from workflows.late_payment import LatePaymentWorkflow
from workflows.provider_refunds import ProviderRefunds
from workflows.publication import PublishEvent
from workflows.reconciliation import DailyReconciliation, ReconciliationWorkflow
from workflows.refund import RefundWorkflow
from workflows.refund_taken_back import RefundTakenBack

RESERVATION_WORKFLOWS = [
    BookingWorkflow,
    LatePaymentWorkflow,
    RefundWorkflow,
    RefundTakenBack,
    ProviderRefunds,
    ExchangeWorkflow,
    EventCancellation,
    EstimateCancellation,
]
PAYMENT_WORKFLOWS = [ReconciliationWorkflow, DailyReconciliation]
SERVICES = (queues.CATALOGUE, queues.RESERVATION, queues.PAYMENT)

_AT_ONCE = 500
_BUSY_AT = 0.85  # of all cores
_ACTIVITIES_AT_ONCE = 100
_REFUNDS_AT_ONCE = 20  # where few calls are left for them, the last of so many still gets its turn in time
_COPIES_AT_ONCE = 2  # on sale go whole venues, whose rows the database writes for seconds: bookings come first
# Under the one interpreter lock a second thread of workflow code only lets the event loop wait longer for its turn.
_WORKFLOW_CODE = ThreadPoolExecutor(1, "workflow")
_BUILD = f"seatwright {version('seatwright')}"  # Temporal's default compiles every loaded module to hash it: seconds


async def run(settings: Settings, services: Sequence[str], ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Work for the given services until `stop`; running activities get some seconds to finish."""
    client = await connect_worker(settings)
    async with AsyncExitStack() as stack:
        for service in services:
            of_service = await stack.enter_async_context(_WORKERS[service](settings, client))
            await stack.enter_async_context(of_service)
        ready.set()
        await stop.wait()


def worker(
    client: Client,
    queue: str,
    workflows: Sequence[type],
    activities: Sequence[Callable[..., Any]],
    *,
    activities_per_second: float | None = None,
    activities_at_once: int = _ACTIVITIES_AT_ONCE,
) -> Worker:
    """A worker with the options that all workers share.

    Args:
        client: Connected to the namespace of the workflows.
        queue: The task queue that the worker polls.
        workflows: The workflow classes that it runs.
        activities: The activities that it runs.
        activities_per_second: The limit for all workers of the queue together.
        activities_at_once: The limit for this worker, local activities aside; the others wait in the queue.
    """
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        # The sandbox costs a quarter of a worker's time, and only finds mistakes in workflow code: the tests replay and
        # run the workflows in it.
        workflow_runner=UnsandboxedWorkflowRunner(),
        build_id=_BUILD,
        workflow_task_executor=_WORKFLOW_CODE,
        tuner=_tuner(activities_at_once),
        max_cached_workflows=5 * _AT_ONCE,
        max_task_queue_activities_per_second=activities_per_second,
        graceful_shutdown_timeout=timedelta(seconds=5),
    )


def _tuner(activities_at_once: int) -> WorkerTuner:
    # A local activity at a slow provider keeps its slots, and its workflow task's: holds must not wait for them. But
    # where it is the processor that is slow, more tasks at once only make all of them miss their timeout, and be done
    # again.
    return WorkerTuner.create_composite(
        workflow_supplier=ResourceBasedSlotSupplier(
            ResourceBasedSlotConfig(minimum_slots=12, maximum_slots=_AT_ONCE, ramp_throttle=timedelta(milliseconds=1)),
            ResourceBasedTunerConfig(target_memory_usage=0.95, target_cpu_usage=_BUSY_AT),
        ),
        activity_supplier=FixedSizeSlotSupplier(activities_at_once),
        local_activity_supplier=FixedSizeSlotSupplier(_AT_ONCE),
        nexus_supplier=FixedSizeSlotSupplier(1),
    )


@asynccontextmanager
async def _catalogue(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    engine = open_engine(settings.database_url("catalogue"), pool_size=4)
    try:
        yield worker(client, queues.CATALOGUE, [PublishEvent], methods_of(CatalogueActivities(engine)))
    finally:
        await engine.dispose()


@asynccontextmanager
async def _reservation(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    async with AsyncExitStack() as stack:
        url = settings.database_url("reservation")
        engine = open_engine(url)
        stack.push_async_callback(engine.dispose)
        copying = open_engine(url, pool_size=2 * _COPIES_AT_ONCE, serves_callers=False, pool="copies")
        stack.push_async_callback(copying.dispose)
        redis = await stack.enter_async_context(open_for_seats(settings))
        locks = SeatLocks(redis)
        policy = booking_policy(settings)
        reservation = ReservationActivities(engine, locks, HoldQuota(redis, UNLIMITED), policy.payment_window)
        activities = [
            *methods_of(reservation),
            *methods_of(ReturnedTickets(engine, locks)),
            *methods_of(ExchangeActivities(engine, locks, reservation.admit)),
            *methods_of(InventoryActivities(engine, copying)),
            *methods_of(CancellationActivities(engine)),
        ]
        if _may_pay(settings):
            activities += methods_of((await stack.enter_async_context(_payment_connections(settings))).payments)
        loops = keep_recovering_workflows(engine, client, policy), keep_backfilling_redis(reservation)
        await stack.enter_async_context(sweeping(*loops))
        # Only copies come by the queue: its workflows do all other steps locally, or in other services' workers.
        at_once = _COPIES_AT_ONCE
        yield worker(client, queues.RESERVATION, RESERVATION_WORKFLOWS, activities, activities_at_once=at_once)


def _may_pay(settings: Settings) -> bool:
    """Whether the workers of the reservation service do payment steps, too.

    Each booking keeps where its steps run. So they do them wherever they can, whatever is set for new bookings: without
    them not even a cancelled booking could end that was begun under `local`.
    """
    needs = needs_of(settings, "work", [queues.PAYMENT])
    try:
        settings.require(needs.secrets, needs.databases)
        read_gateway_settings(settings)
    except ValueError:
        return settings.payment_steps == "local"  # then the start fails, and names what is missing
    return True


class _Paying(NamedTuple):
    """What works at the payment service: a booking's steps, and what its other steps need."""

    payments: PaymentActivities
    engine: AsyncEngine
    gateways: Mapping[str, PaymentGateway]
    identity: PersonalDataClient


@asynccontextmanager
async def _payment(settings: Settings, client: Client) -> AsyncIterator[Worker]:
    async with _payment_connections(settings) as (payments, engine, gateways, identity):
        refunds = methods_of(RefundActivities(engine, gateways))
        activities = [
            *methods_of(payments),
            *methods_of(LatePaymentActivities(engine, gateways, identity.is_erased)),
            *refunds,  # what an operator gave by hand, and all those of workflows that the version before has asked for
            *methods_of(ReconciliationActivities(engine, gateways)),
        ]
        await schedule_reconciliation(client)
        limit = total_calls_per_second(read_gateway_settings(settings))
        at_once = _REFUNDS_AT_ONCE
        late_payments = keep_sweeping_late_payments(engine, client, booking_policy(settings))
        async with (
            sweeping(late_payments, keep_counting_differences(engine, tuple(gateways))),
            worker(client, queues.REFUNDS, [], refunds, activities_per_second=limit, activities_at_once=at_once),
        ):
            yield worker(client, queues.PAYMENT, PAYMENT_WORKFLOWS, activities, activities_per_second=limit)


@asynccontextmanager
async def _payment_connections(settings: Settings) -> AsyncIterator[_Paying]:
    async with AsyncExitStack() as stack:
        engine = open_engine(settings.database_url("payment"))
        stack.push_async_callback(engine.dispose)
        identity = PersonalDataClient(settings.identity_address, secret(settings.internal_token))
        stack.push_async_callback(identity.close)
        gateways = await stack.enter_async_context(open_gateways(settings))
        payments = PaymentActivities(engine, gateways, partial(open_buyer, identity))
        yield _Paying(payments, engine, gateways, identity)


_WORKERS = {queues.CATALOGUE: _catalogue, queues.RESERVATION: _reservation, queues.PAYMENT: _payment}


def methods_of(activities: object) -> list[Callable[..., Any]]:
    """The methods that are activities."""
    methods = (getattr(activities, name) for name in dir(activities) if not name.startswith("_"))
    return [method for method in methods if hasattr(method, "__temporal_activity_definition")]
