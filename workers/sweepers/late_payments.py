"""Finds money that turns up late also when no webhook tells of it: starts the workflow of each attempt that is watched.

That does nothing where one runs. So a workflow that was lost, or was never started because Temporal was away when the
webhook came, is no loss.
"""

from __future__ import annotations

import asyncio
import random

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from db.payment import late_payments
from domain.bookings import BookingPolicy
from domain.payments import LatePayment
from workflows.ids import start_late_payment
from workflows.late_payment import LatePaymentWorkflow

_EVERY = (5.0, 10.0)  # seconds
_AT_ONCE = 200

log = structlog.get_logger()


async def keep_watching(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Look again and again, until cancelled."""
    while True:
        try:
            await watch(engine, client, policy)
        except (SQLAlchemyError, RPCError, OSError) as error:
            log.warning("watch_interrupted", error=type(error).__name__)
        await asyncio.sleep(random.uniform(*_EVERY))


async def watch(engine: AsyncEngine, client: Client, policy: BookingPolicy) -> None:
    """Look once."""
    async with engine.connect() as connection:
        watched = await late_payments.watched(connection, limit=_AT_ONCE)
    for late in watched:
        await _start(client, late.model_copy(update={"policy": policy}))


async def _start(client: Client, late: LatePayment) -> None:
    try:
        await client.start_workflow(
            LatePaymentWorkflow.run,
            late,
            **start_late_payment(late),
        )
    except WorkflowAlreadyStartedError:
        return  # it lives
    log.info("late_payment_watched", booking_id=str(late.booking_id))
