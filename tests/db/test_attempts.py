"""A payment attempt only moves forward, also when a worker is late."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.engine import open_engine
from db.payment import attempts, late_payments
from db.payment.attempts import Attempt, AttemptState
from domain.domain_events import (
    LatePaymentSettled,
    LateSettlement,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentEvent,
    PaymentRefunded,
    PaymentVoided,
    PaymentWasDeclined,
)
from domain.money import Money
from tests.workers.conftest import ServiceDatabase

OPEN, ACTION_REQUIRED, AUTHORIZED, CAPTURED, DECLINED, VOIDED, REFUNDED, LEFT = AttemptState
LEGAL = {
    (OPEN, ACTION_REQUIRED),
    *((old, new) for old in (OPEN, ACTION_REQUIRED) for new in (AUTHORIZED, CAPTURED, DECLINED, VOIDED, LEFT)),
    *((AUTHORIZED, new) for new in (CAPTURED, DECLINED, VOIDED, REFUNDED, LEFT)),
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
    LEFT: (ACTION_REQUIRED, LEFT),
}
"""How an attempt gets to each state."""


@pytest.fixture
async def payment(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("payment"), serves_callers=False)
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
async def test_an_attempt_moves_forward_and_no_late_worker_moves_it_back_or_misreports_it(
    payment: AsyncEngine, old: AttemptState
) -> None:
    for new in AttemptState:
        attempt = await opened(payment)
        for step in WAYS[old]:
            assert await reach(payment, attempt, step)
        before = await state_and_story(payment, attempt)

        moved = await reach(payment, attempt, new)  # by a worker that still has the row as it was when it was opened

        now, told = await state_and_story(payment, attempt)
        if (old, new) in LEGAL:
            assert moved
            assert moved.state is new
            assert (now, len(told)) == (new, len(before[1]) + (telling(attempt, new) is not None))
        else:
            assert moved is None
            assert (now, told) == before


async def test_the_intent_of_an_attempt_is_not_replaced(payment: AsyncEngine) -> None:
    attempt, first, other = await opened(payment), f"pi_{uuid4().hex}", f"pi_{uuid4().hex}"
    async with payment.begin() as connection:
        for _ in range(2):
            assert await attempts.note_intent(connection, attempt, first)
        assert await attempts.note_intent(connection, attempt, other) is None
        live = await attempts.live(connection, attempt.booking_id)
    assert live
    assert live.intent_id == first


async def test_a_late_worker_does_not_close_an_attempt_whose_page_another_opened(payment: AsyncEngine) -> None:
    attempt, voided = await opened(payment), AttemptState.VOIDED
    async with payment.begin() as connection:
        assert await attempts.note_intent(connection, attempt, f"pi_{uuid4().hex}")
        assert await attempts.reach(connection, attempt, voided, None, is_unopened=True) is None
        assert await attempts.live(connection, attempt.booking_id)
    unopened = await opened(payment)
    async with payment.begin() as connection:
        assert await attempts.reach(connection, unopened, voided, None, is_unopened=True)


async def test_an_attempt_that_was_left_can_be_taken_up_unless_another_lives(payment: AsyncEngine) -> None:
    attempt = await opened(payment)
    async with payment.begin() as connection:
        noted = await attempts.note_intent(connection, attempt, f"pi_{uuid4().hex}")
    assert noted
    left = await reach(payment, noted, LEFT)
    assert left
    async with payment.begin() as connection:
        money, soon = Money(amount=5000, currency="EUR"), datetime.now(UTC) + timedelta(hours=1)
        other = await attempts.open_attempt(connection, attempt.booking_id, "stripe", money, soon)
        assert other
        assert not await late_payments.take_up(connection, left)
    assert await reach(payment, other, VOIDED)
    for _ in range(2):
        async with payment.begin() as connection:
            assert await late_payments.take_up(connection, left)
    async with payment.connect() as connection:
        live = await attempts.live(connection, attempt.booking_id)
    assert live
    assert (live.number, live.state) == (1, AUTHORIZED)


async def test_a_worker_that_was_left_behind_does_not_open_a_settled_attempt(payment: AsyncEngine) -> None:
    attempt = await opened(payment)
    async with payment.begin() as connection:
        noted = await attempts.note_intent(connection, attempt, f"pi_{uuid4().hex}")
    assert noted
    left = await reach(payment, noted, LEFT)
    assert left
    async with payment.begin() as connection:  # another worker takes it up, and its capture is refused
        assert await late_payments.take_up(connection, left)
        await late_payments.close(connection, left, VOIDED, PaymentVoided(**left.facts()))
    async with payment.begin() as connection:
        assert not await late_payments.take_up(connection, left)
        assert await attempts.live(connection, attempt.booking_id) is None


async def test_what_became_of_late_money_is_told_once(payment: AsyncEngine) -> None:
    attempt = await opened(payment)
    assert await reach(payment, attempt, LEFT)
    told = LatePaymentSettled(**attempt.facts(), user_id=uuid4(), settlement=LateSettlement.RETURNED)
    for _ in range(2):
        async with payment.begin() as connection:
            await late_payments.close(connection, attempt, VOIDED, PaymentVoided(**attempt.facts()))
            await late_payments.settle(connection, attempt, told)
    assert await state_and_story(payment, attempt) == ("voided", ["payment.voided", "payment.late_settled"])


async def test_a_declined_command_finds_its_attempt_again_and_another_gets_a_new_one(
    payment: AsyncEngine,
) -> None:
    """A worker dies between the decline and its answer: the provider shall not be tried a second time."""
    booking, price, deadline = uuid4(), Money(amount=5000, currency="EUR"), datetime.now(UTC) + timedelta(hours=1)

    async def opened_by(until: datetime) -> Attempt | None:
        async with payment.begin() as connection:
            return await attempts.open_attempt(connection, booking, "stripe", price, until)

    first = await opened_by(deadline)
    assert first
    async with payment.begin() as connection:
        noted = await attempts.note_decline(connection, first, "insufficient_funds")
    assert noted
    await reach(payment, noted, DECLINED)

    again = await opened_by(deadline)
    assert again
    assert (again.number, again.state, again.decline_code) == (1, DECLINED, "insufficient_funds")
    other = await opened_by(deadline + timedelta(seconds=1))
    assert other
    assert (other.number, other.state) == (2, OPEN)
