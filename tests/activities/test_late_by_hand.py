"""Late money counts as given back when an operator says so, also while its provider cannot be asked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment.late_payments import LateMoney, LatePaymentActivities
from adapters.payment.stripe.gateway import StripeGateway
from db.engine import open_engine
from db.payment import late_payments
from db.payment.attempts import AttemptState
from domain.payments import LatePayment, ProviderRefundState
from sandbox.testing import API_KEY
from tests.db.test_ledger import with_intent
from tests.workers.conftest import ServiceDatabase


@pytest.fixture
async def payment(shared_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(shared_database("payment"), serves_callers=False)
    yield engine
    await engine.dispose()


@pytest.fixture
async def steps(payment: AsyncEngine) -> AsyncIterator[LatePaymentActivities]:
    async def is_erased(_: UUID) -> bool:
        return False

    away = StripeGateway(API_KEY, base_url="http://127.0.0.1:9", total_seconds=1)
    yield LatePaymentActivities(payment, {"stripe": away}, is_erased)
    await away.close()


async def paid_by_transfer(payment: AsyncEngine, steps: LatePaymentActivities) -> LatePayment:
    """Late money that an operator has given back, and has said so twice."""
    attempt = await with_intent(payment, AttemptState.LEFT)
    assert attempt.intent_id
    late = LatePayment(provider=attempt.provider, intent_id=attempt.intent_id, booking_id=attempt.booking_id)
    for _ in range(2):
        await ActivityEnvironment().run(steps.note_late_by_hand, late)
    return late


async def test_what_an_operator_has_given_back_is_recorded_once(
    payment: AsyncEngine, steps: LatePaymentActivities
) -> None:
    late = await paid_by_transfer(payment, steps)
    recorded = """
        SELECT a.state, r.state, r.code, r.amount = a.amount FROM attempts a
        JOIN refunds r ON (r.booking_id, r.attempt) = (a.booking_id, a.number) WHERE a.booking_id = :id
    """
    async with payment.connect() as connection:
        rows = (await connection.execute(text(recorded), {"id": late.booking_id})).all()
    assert [tuple(row) for row in rows] == [("refunded", "succeeded", "by_hand", True)]


async def test_what_an_operator_has_given_back_is_neither_late_nor_given_back_again(
    payment: AsyncEngine, steps: LatePaymentActivities
) -> None:
    late = await paid_by_transfer(payment, steps)
    assert await ActivityEnvironment().run(steps.examine, late) is LateMoney.NONE
    assert await ActivityEnvironment().run(steps.give_back, late) is ProviderRefundState.SUCCEEDED


async def test_what_an_operator_has_given_back_in_the_meantime_buys_nothing(
    payment: AsyncEngine, steps: LatePaymentActivities
) -> None:
    late = await paid_by_transfer(payment, steps)
    with pytest.raises(ApplicationError, match="given back by hand"):
        await ActivityEnvironment().run(steps.take_up, late)
    async with payment.connect() as connection:
        assert await late_payments.live(connection, late) is None
