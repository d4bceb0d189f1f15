"""The money of a payment that is undone goes back whatever staff give back in the provider's dashboard at that time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment.payments import AuthorizationResult, Authorize, OfExchange, PaymentActivities
from adapters.payment.stripe.gateway import StripeGateway
from db.engine import open_engine
from domain.money import Money
from domain.payments import PaymentError
from sandbox.testing import API_KEY, SandboxProcess
from tests.waiting import eventually
from tests.workers.conftest import ServiceDatabase, databases, service_database, templates

__all__ = ["databases", "service_database", "templates"]

PRICE = Money(amount=5000, currency="EUR")
BY_STAFF = Money(amount=1000, currency="EUR")


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def payment(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(service_database("payment"), serves_callers=False)
    yield engine
    await engine.dispose()


class Paid:
    """A payment that was captured, of a booking or of one of its exchanges."""

    def __init__(self, sandbox: SandboxProcess, payment: AsyncEngine, gateway: StripeGateway, exchange: UUID | None):
        self.booking = uuid4()
        self.gateway = gateway
        self._sandbox = sandbox
        self._exchange = exchange
        self._steps = PaymentActivities(payment, {"stripe": gateway})

    async def pay(self) -> None:
        order = Authorize(
            booking_id=self.booking,
            amount=PRICE,
            provider="stripe",
            payment_method="pm_card_visa",
            return_url="https://shop.example.test/",
            deadline=datetime.now(UTC) + timedelta(minutes=2),
            exchange_id=self._exchange,
        )
        done = await ActivityEnvironment().run(self._steps.authorize, order)
        assert done.result is AuthorizationResult.AUTHORIZED
        if self._exchange:
            assert await ActivityEnvironment().run(self._steps.capture_difference, self._of_exchange()) is None
        else:
            assert await ActivityEnvironment().run(self._steps.capture, self.booking) is None

    async def return_money(self) -> None:
        if self._exchange:
            await ActivityEnvironment().run(self._steps.return_difference, self._of_exchange())
        else:
            await ActivityEnvironment().run(self._steps.return_money, self.booking)

    def _of_exchange(self) -> OfExchange:
        assert self._exchange
        return OfExchange(booking_id=self.booking, exchange_id=self._exchange)

    def will(self, fault: str, **fields: float) -> None:
        self._sandbox.fault(fault, str(self.booking), operation="refund", **fields)

    def is_struck(self) -> bool:
        return not self._sandbox.call("GET", "/_sandbox/faults")["faults"]

    def refunded(self) -> int:
        [intent] = self._sandbox.intents(str(self.booking))
        assert intent["captured"] == PRICE.amount
        return int(intent["refunded"])

    async def staff_refund(self) -> None:
        [intent] = self._sandbox.intents(str(self.booking))
        await self.gateway.refund(intent["id"], BY_STAFF, key=str(uuid4()))

    def refunds_asked(self) -> list[tuple[str, int]]:
        """The keys and the statuses of our own calls."""
        calls = self._sandbox.requests(str(self.booking), "refund")
        return [(call["key"], call["status"]) for call in calls if call["key"].startswith(str(self.booking))]


@pytest.fixture(params=[None, uuid4()], ids=["a booking", "an exchange"])
async def paid(request: pytest.FixtureRequest, sandbox: SandboxProcess, payment: AsyncEngine) -> AsyncIterator[Paid]:
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, total_seconds=60)
    paid = Paid(sandbox, payment, gateway, request.param)
    await paid.pay()
    yield paid
    await gateway.close()


async def test_the_rest_goes_back_at_the_next_try_if_staff_refund_a_part_at_that_moment(paid: Paid) -> None:
    paid.will("slow", delay_seconds=3)
    returning = asyncio.create_task(paid.return_money())
    await eventually(paid.is_struck)  # our refund has been sent; before it takes effect, staff act
    await paid.staff_refund()
    with pytest.raises((ApplicationError, PaymentError)):
        await returning
    assert paid.refunded() == BY_STAFF.amount

    await paid.return_money()
    assert paid.refunded() == PRICE.amount
    [(refused, _), (accepted, _)] = asked = paid.refunds_asked()
    assert [status for _, status in asked] == [400, 200]
    assert refused != accepted
    await paid.return_money()
    assert paid.refunds_asked() == asked


async def test_a_refund_that_fails_at_once_is_made_again_by_the_next_try(paid: Paid) -> None:
    paid.will("decline")
    with pytest.raises((ApplicationError, PaymentError)):
        await paid.return_money()
    assert paid.refunded() == 0
    await paid.return_money()
    assert paid.refunded() == PRICE.amount
