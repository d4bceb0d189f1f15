"""Waits until everything has settled: repeats unknown calls, and retries sagas as an operator does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import psycopg
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from config.settings import Service, Settings
from domain.bookings import OperatorAction
from temporal.connection import connect
from tests.chaos import consumers
from tests.chaos.buyers import Sale, ask
from tests.chaos.facts import dsn
from tests.chaos.journal import Order, Verdict
from tests.waiting import Patience
from workflows.booking import BookingWorkflow

BOUND = 300.0
"""Seconds of a quiet machine; more than any timer that a saga may still have to sit out once an operator has ended
its parking."""

_AT_ONCE = 20
_WITH_OUTBOX: tuple[Service, ...] = ("identity", "catalogue", "reservation", "payment")


class Settled(NamedTuple):
    """The result.

    Attributes:
        left: The work that is unfinished at the deadline, if any.
        retried: The number of retries by the operator.
    """

    seconds: float
    left: str
    retried: int


async def settle(sale: Sale, tell: Callable[[str], None]) -> Settled:
    """Wait until every outcome is known, every booking has ended, and all events are handled."""
    client, start, retried, before = await connect(sale.settings), monotonic(), 0, ""
    patience = Patience(BOUND)
    asking = asyncio.create_task(_ask_again(sale, patience))
    while True:
        retried += await operate(client)
        left = await _moving(sale, client)
        if not left and not asking.done():
            left = "outcomes are still unknown"
        if left != before:
            tell(left or "all is quiet")
            before = left
        if not left or await patience.is_over():
            break
        await asyncio.sleep(0.5)
    await asking
    return Settled(monotonic() - start, left, retried)


async def _ask_again(sale: Sale, patience: Patience) -> None:
    """Repeat each call with an unknown outcome under its key; cancel a hold that succeeds so late."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def learn(order: Order) -> None:
        async with gate:
            while order.verdict is Verdict.UNKNOWN and not await patience.is_over():
                await ask(sale, order, "api")
                await asyncio.sleep(0.2)

    unknown = [order for order in sale.journal.orders if order.verdict is Verdict.UNKNOWN]
    await asyncio.gather(*(learn(order) for order in unknown if order.call != "cancel"))
    late = [order for order in unknown if order.call == "hold" and order.verdict is Verdict.OK]
    cancels = [order for order in unknown if order.call == "cancel"]
    cancels += [sale.journal.order(each.buyer, each.user_id, "cancel", each.booking, "", {}) for each in late]
    await asyncio.gather(*map(learn, cancels))


async def operate(client: Client) -> int:
    """Retry every saga that waits for an operator; returns their number."""
    retried = 0
    with suppress(RPCError):
        async for found in client.list_workflows(
            "SeatwrightStatus = 'needs_attention' AND ExecutionStatus = 'Running'"
        ):
            saga = client.get_workflow_handle(found.id)
            with suppress(WorkflowUpdateFailedError, RPCError):  # it is trying already, or has just ended
                if found.workflow_type == "LatePayment":
                    await saga.signal(BookingWorkflow.provider_notified)
                else:  # a refund takes the same order
                    await saga.execute_update(BookingWorkflow.operate, OperatorAction.RETRY)
                retried += 1
    return retried


async def _moving(sale: Sale, client: Client) -> str:
    """The unfinished work, in words."""
    events = [UUID(sale.event), UUID(sale.brief)]
    unfinished = await _count(
        sale.settings,
        "reservation",
        "SELECT count(*) FROM bookings WHERE event_id = ANY(%s)"
        " AND status NOT IN ('confirmed', 'cancelled', 'expired', 'failed')",
        [events],
    )
    running = 0
    for event in events:
        query = f"SeatwrightEvent = '{event}' AND ExecutionStatus = 'Running'"
        with suppress(RPCError):
            running += (await client.count_workflows(query)).count
    waiting = sum([await _count(sale.settings, service, "SELECT count(*) FROM outbox") for service in _WITH_OUTBOX])
    pending = await _count(sale.settings, "reservation", "SELECT count(*) FROM pending_redis_updates")
    lag = await asyncio.to_thread(consumers.lag, sale.settings.kafka_bootstrap)
    counts = {
        "bookings unfinished": unfinished,
        "sagas running": running,
        "in outboxes": waiting,
        "pending redis updates": pending,
        "to consume": lag,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


async def _count(settings: Settings, service: Service, statement: str, arguments: Sequence[object] = ()) -> int:
    async with await psycopg.AsyncConnection.connect(dsn(settings, service)) as connection:
        row = await (await connection.execute(statement, arguments)).fetchone()
    assert row
    return int(row[0])
