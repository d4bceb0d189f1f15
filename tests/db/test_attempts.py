"""A payment attempt goes forward only, whoever comes late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from db.migration_helpers import OUTBOX_DDL
from db.payment import attempts
from db.payment.attempts import Attempt, AttemptState
from domain.domain_events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentWasDeclined,
)
from domain.money import Money
from tests.workers.conftest import MakeDatabase

MIGRATIONS = ("0001_payment", "0002_refunds")
OPEN, ACTION_REQUIRED, AUTHORIZED, CAPTURED, DECLINED, VOIDED, REFUNDED = AttemptState
LEGAL = {
    (OPEN, ACTION_REQUIRED),
    *((old, new) for old in (OPEN, ACTION_REQUIRED) for new in (AUTHORIZED, CAPTURED, DECLINED, VOIDED)),
    *((AUTHORIZED, new) for new in (CAPTURED, DECLINED, VOIDED, REFUNDED)),
    (CAPTURED, REFUNDED),
}
WAYS = {
    OPEN: (),
    ACTION_REQUIRED: (ACTION_REQUIRED,),
    AUTHORIZED: (AUTHORIZED,),
    CAPTURED: (AUTHORIZED, CAPTURED),
    DECLINED: (DECLINED,),
    VOIDED: (VOIDED,),
    REFUNDED: (CAPTURED, REFUNDED),
}
"""How an attempt gets to each state."""


@pytest.fixture
async def payment(database: MakeDatabase) -> AsyncIterator[AsyncEngine]:
    tables, refunds = (import_module(f"db.payment.migrations.versions.{name}") for name in MIGRATIONS)
    engine = open_engine(database(tables.DDL + OUTBOX_DDL + refunds.DDL))
    yield engine
    await engine.dispose()


async def opened(engine: AsyncEngine) -> Attempt:
    async with engine.begin() as connection:
        attempt = await attempts.open_attempt(
            connection, uuid4(), "stripe", Money(amount=5000, currency="EUR"), datetime.now(UTC) + timedelta(hours=1)
        )
    assert attempt
    return attempt


async def reach(engine: AsyncEngine, attempt: Attempt, state: AttemptState) -> Attempt | None:
    async with engine.begin() as connection:
        return await attempts.reach(connection, attempt, state, telling(attempt, state))


def telling(attempt: Attempt, state: AttemptState) -> PaymentEvent | None:
    facts = {"booking_id": attempt.booking_id, "provider": "stripe", "attempt": 1, "amount": 5000, "currency": "EUR"}
    match state:
        case AttemptState.DECLINED:
            return PaymentWasDeclined(**facts, code="insufficient_funds")
        case AttemptState.AUTHORIZED:
            return PaymentAuthorized(**facts)
        case AttemptState.CAPTURED:
            return PaymentCaptured(**facts)
        case AttemptState.VOIDED:
            return PaymentVoided(**facts)
        case AttemptState.REFUNDED:
            return PaymentRefunded(**facts)
    return None


async def state_and_story(engine: AsyncEngine, attempt: Attempt) -> tuple[str, list[str]]:
    """What the attempt's row says, and what has been told of it."""
    of = {"id": attempt.booking_id}
    async with engine.connect() as connection:
        state = await connection.execute(text("SELECT state FROM attempts WHERE booking_id = :id"), of)
        told = await connection.execute(
            text("SELECT type FROM domain_events WHERE aggregate_id = :id ORDER BY sequence"), of
        )
        return state.scalar_one(), list(told.scalars())


@pytest.mark.parametrize("old", AttemptState)
async def test_an_attempt_moves_forward_and_no_late_worker_moves_it_back_or_tells_what_is_not_true(
    payment: AsyncEngine, old: AttemptState
) -> None:
    for new in AttemptState:
        attempt = await opened(payment)
        for step in WAYS[old]:
            assert await reach(payment, attempt, step)
        before = await state_and_story(payment, attempt)

        moved = await reach(payment, attempt, new)  # by somebody who still has the row as it was when it was opened

        now, told = await state_and_story(payment, attempt)
        if (old, new) in LEGAL:
            assert moved
            assert moved.state is new
            assert (now, len(told)) == (new, len(before[1]) + (telling(attempt, new) is not None))
        else:
            assert moved is None
            assert (now, told) == before
