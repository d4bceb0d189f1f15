"""Creates each kind of difference between the ledger and a provider's statement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, ParamSpec, TypeVar
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.testing import ActivityEnvironment

from activities.payment.payments import Authorize, OfExchange, PaymentActivities
from activities.payment.reconciliation import ReconciliationActivities
from activities.payment.refunds import GiveBack, RefundActivities
from db.payment import attempts
from db.payment.attempts import Attempt, AttemptState
from domain.domain_events import PaymentCaptured, PaymentVoided
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from domain.payments import GivenRefund, Intent
from domain.reconciliation import Difference, DifferenceKind, ReconcileDay, Reconciliation
from tests.iyzico_buyer import APPROVED, pay_with
from tests.payu_buyer import PayUBuyer
from tests.waiting import eventually

P = ParamSpec("P")
T = TypeVar("T")

PRICE = Money(amount=5000, currency="EUR")
RETURN_URL = "https://shop.example.test/"


class ReconciliationHarness:
    """The ledger and one provider's statement; each booking is independent."""

    def __init__(
        self, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway], provider: str, price: Money = PRICE
    ) -> None:
        self.engine = engine
        self.provider = provider
        self.price = price
        self.gateway = gateways[provider]
        self.payment = PaymentActivities(engine, gateways)
        self.refunds = RefundActivities(engine, gateways)
        self.steps = ReconciliationActivities(engine, gateways)

    # What our own steps do

    async def authorized(self) -> UUID:
        booking = uuid4()
        done = await self._authorize(booking)
        if done.action_url:
            await self._pay_on_page(done.action_url)
            await self._authorize(booking)
        return booking

    async def sold(self) -> UUID:
        booking = await self.authorized()
        assert await step(self.payment.capture, booking) is None
        return booking

    async def refunded(self, booking: UUID, amount: int, number: int = 1, refund: UUID | None = None) -> GivenRefund:
        order = GiveBack(refund_id=refund or uuid4(), booking_id=booking, amount=amount, number=number)
        return await step(self.refunds.give_refund, order)

    async def exchanged(self, booking: UUID) -> None:
        """Exchange a seat for one at twice the price, paid at this provider."""
        exchange = uuid4()
        done = await self._authorize(booking, exchange)
        if done.action_url:
            await self._pay_on_page(done.action_url)
            await self._authorize(booking, exchange)
        payment = OfExchange(booking_id=booking, exchange_id=exchange)
        assert await step(self.payment.capture_difference, payment) is None

    async def undone(self, booking: UUID) -> None:
        await step(self.payment.return_money, booking)

    # What happens at the provider alone

    async def reserved_there(self, booking: UUID) -> Intent:
        """Reserve money at the provider that the platform does not know of."""
        key = f"{booking}:create:{uuid4()}"
        intent = await self.gateway.create(booking, self.price, key=key, return_url=RETURN_URL)
        if intent.action_url:
            await self._pay_on_page(intent.action_url)
            return await self.gateway.retrieve(intent.id)
        return await self.gateway.confirm(intent.id, "pm_card_visa", return_url=RETURN_URL, key=f"{key}:confirm")

    async def taken_there(self, booking: UUID) -> Intent:
        intent = await self.reserved_there(booking)
        return await self.gateway.capture(intent.id, key=f"{booking}:capture:{uuid4()}")

    async def given_back_there(self, booking: UUID, amount: int) -> None:
        attempt = await self.attempt(booking)
        back = Money(amount=amount, currency=self.price.currency)
        await self.gateway.refund(str(attempt.intent_id), back, key=f"{booking}:by-hand:{uuid4()}")

    # In the ledger alone

    async def booked_here(self, intent_id: str, money: Money = PRICE, booking: UUID | None = None) -> UUID:
        """Record a capture in the rows only."""
        booking = booking or uuid4()
        async with self.engine.begin() as connection:
            opened = await attempts.open_attempt(
                connection, booking, self.provider, money, datetime.now(UTC) + timedelta(minutes=1)
            )
            assert opened
            noted = await attempts.note_intent(connection, opened, intent_id)
            assert noted
            await attempts.reach(connection, noted, AttemptState.CAPTURED, PaymentCaptured(**noted.facts()))
        return booking

    async def released_here(self, booking: UUID) -> Attempt:
        """Record a void in the rows only."""
        attempt = await self.attempt(booking)
        async with self.engine.begin() as connection:
            await attempts.reach(connection, attempt, AttemptState.VOIDED, PaymentVoided(**attempt.facts()))
        return attempt

    async def attempt(self, booking: UUID) -> Attempt:
        async with self.engine.connect() as connection:
            found = await attempts.live(connection, booking)
        assert found
        return found

    async def rows(self, statement: str, **values: object) -> list[Any]:
        async with self.engine.begin() as connection:
            found = await connection.execute(text(statement), values)
            return list(found) if found.returns_rows else []

    # Reconciling

    @property
    def of_today(self) -> ReconcileDay:
        """The order to reconcile today, up to now."""
        return ReconcileDay(provider=self.provider, day=today())

    async def reconciled(self) -> Reconciliation:
        """Reconcile today, up to now."""
        await step(self.steps.fetch_list, self.of_today)
        return await step(self.steps.find_differences, self.of_today)

    async def differ(self, *bookings: UUID) -> list[DifferenceKind]:
        """The differences about these bookings."""
        found = await self.differences(*bookings)
        return [each.kind for each in found]

    async def differences(self, *bookings: UUID) -> list[Difference]:
        await self.reconciled()
        found = await self.rows(
            "SELECT provider, day, subject, kind, ours, theirs FROM reconciliation_differences"
            " WHERE resolved_at IS NULL AND subject = ANY (:subjects)",
            subjects=[str(booking) for booking in bookings],
        )
        return [Difference(**row._mapping) for row in found]

    async def _authorize(self, booking: UUID, exchange: UUID | None = None) -> Any:
        order = Authorize(
            booking_id=booking,
            amount=self.price,
            provider=self.provider,
            payment_method="pm_card_visa" if self.provider == "stripe" else None,
            return_url=RETURN_URL,
            deadline=datetime.now(UTC) + timedelta(minutes=1),
            exchange_id=exchange,
        )
        return await step(self.payment.authorize, order)

    async def _pay_on_page(self, url: str) -> None:
        if self.provider == "iyzico":
            await asyncio.to_thread(pay_with, url, APPROVED)
        else:
            await asyncio.to_thread(PayUBuyer(url).pay, "approved")


def today() -> date:
    return datetime.now(UTC).date()


async def begin_well_before_midnight() -> None:
    """Wait out the last minute of a day (UTC), so that payment and reconciliation fall on one day."""

    def is_well_before() -> bool:
        return (datetime.now(UTC) + timedelta(minutes=1)).date() == today()

    await eventually(is_well_before, within=90)


async def step(activity: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs) -> T:
    """Run an activity as a worker does."""
    done: T = await ActivityEnvironment().run(activity, *arguments, **named)
    return done
