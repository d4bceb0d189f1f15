"""Repeated payment steps at iyzico after a worker's death or a lost response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.payment.payments import Authorization, AuthorizationResult, Authorize, PaymentActivities
from activities.payment.refunds import GiveBack, RefundActivities
from adapters.payment.iyzico import IYZICO
from adapters.payment.iyzico.gateway import IyzicoGateway
from config.settings import Settings
from db.engine import open_engine
from domain.money import Money
from domain.payments import GivenRefund, Intent, IntentState, ProviderRefundState
from tests.db.conftest import shared_database, templates
from tests.iyzico_buyer import APPROVED, pay_with
from tests.platform_client import PlatformClient
from tests.provider_settings import iyzico_settings
from tests.scale import sample
from tests.waiting import eventually
from tests.workers.conftest import ServiceDatabase

__all__ = ["shared_database", "templates"]

EFFECT_LOST = ("500_after", "reset_after", "timeout_after")
NO_EFFECT = ("429", "500_before", "reset_before")


def faults(*, of: str) -> list[str]:
    """All faults; outside `make prove` one whose effect is there, and one without any."""
    return [*sample(EFFECT_LOST, 1, of=of), *sample(NO_EFFECT, 1, of=of)]


class Checkout:
    """One booking's payment, step by step."""

    def __init__(
        self,
        activities: PaymentActivities,
        refunds: RefundActivities,
        gateway: IyzicoGateway,
        platform: PlatformClient,
    ) -> None:
        self.activities, self.gateway = activities, gateway
        self._refunds = refunds
        self.booking = uuid4()
        self._provider = platform.provider

    async def authorize(self) -> Authorization:
        order = Authorize(
            booking_id=self.booking,
            amount=Money(amount=5000, currency="EUR"),
            provider="iyzico",
            payment_method=None,
            return_url="https://shop.example.test/return",
            deadline=datetime.now(UTC) + timedelta(minutes=1),
        )
        return await ActivityEnvironment().run(self.activities.authorize, order)

    async def authorized(self) -> None:
        url = str((await self.authorize()).action_url)
        await asyncio.to_thread(pay_with, url, APPROVED)
        assert (await self.authorize()).result is AuthorizationResult.AUTHORIZED

    async def capture(self) -> str | None:
        return await ActivityEnvironment().run(self.activities.capture, self.booking)

    async def return_money(self) -> None:
        await ActivityEnvironment().run(self.activities.return_money, self.booking)

    async def give_back(self, refund_id: UUID, amount: int) -> GivenRefund:
        order = GiveBack(refund_id=refund_id, booking_id=self.booking, amount=amount, number=1)
        return await ActivityEnvironment().run(self._refunds.give_refund, order)

    async def is_asked(self) -> bool:
        """Whether iyzico has begun with the call that a fault was waiting for."""
        return await self._provider.has_met_its_faults(str(self.booking))

    async def will(self, fault: str, operation: str) -> None:
        await self._provider.will(fault, operation, str(self.booking), face="iyzico", delay_seconds=3)

    async def money(self) -> tuple[int, int, int, int]:
        """The number of forms, and the minor units captured, refunded and held."""
        intents = await self._provider.intents(str(self.booking))
        captured, refunded, held = (sum(each[name] for each in intents) for name in ("captured", "refunded", "held"))
        return len(intents), captured, refunded, held


@pytest.fixture
async def checkout(
    platform: PlatformClient, settings: Settings, shared_database: ServiceDatabase
) -> AsyncIterator[Checkout]:
    own = iyzico_settings(settings)
    gateway = IyzicoGateway(
        own.api_key.get_secret_value(),
        own.secret_key.get_secret_value(),
        base_url=own.api_base,
        total_seconds=30,  # nothing here repeats a step that a busy machine delays
    )
    # Its own: where a worker looks, it would look for the bookings of these payments again and again.
    engine = open_engine(shared_database("payment"), serves_callers=False)
    gateways = {IYZICO.name: gateway}
    yield Checkout(PaymentActivities(engine, gateways), RefundActivities(engine, gateways), gateway, platform)
    await gateway.close()
    await engine.dispose()


async def test_a_repeated_step_returns_the_same_page_and_opens_no_second_form(checkout: Checkout) -> None:
    first, second = await checkout.authorize(), await checkout.authorize()
    assert (first.result, second) == (AuthorizationResult.ACTION_REQUIRED, first)
    assert first.action_url
    assert await checkout.money() == (1, 0, 0, 0)
    await asyncio.to_thread(pay_with, first.action_url, APPROVED)
    await checkout.return_money()


async def test_a_worker_that_was_left_behind_does_not_replace_the_page_of_the_buyer(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, may_go_on, create = asyncio.Event(), asyncio.Event(), checkout.gateway.create

    async def standing_still(*args: Any, **options: Any) -> Intent:
        intent = await create(*args, **options)
        made.set()
        await may_go_on.wait()
        return intent

    with monkeypatch.context() as patched:
        patched.setattr(checkout.gateway, "create", standing_still)
        left_behind = asyncio.create_task(checkout.authorize())
        await made.wait()
    page = (await checkout.authorize()).action_url
    may_go_on.set()
    assert (await left_behind).action_url == page
    await asyncio.to_thread(pay_with, str(page), APPROVED)
    assert (await checkout.authorize()).result is AuthorizationResult.AUTHORIZED
    assert await checkout.money() == (2, 0, 0, 5000)
    await checkout.return_money()
    assert await checkout.money() == (2, 0, 0, 0)


async def test_money_that_is_known_is_not_given_up_when_the_provider_denies_it(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unpaid(intent_id: str) -> Intent:
        return Intent(id=intent_id, state=IntentState.ACTION_REQUIRED)

    await checkout.authorized()
    await checkout.will("timeout_after", "capture")
    with pytest.raises(ApplicationError):
        await checkout.capture()
    with monkeypatch.context() as patched:
        patched.setattr(checkout.gateway, "retrieve", unpaid)
        with pytest.raises(ApplicationError, match="action_required"):
            await checkout.capture()
        with pytest.raises(ApplicationError, match="does not know"):
            await checkout.return_money()
    assert await checkout.capture() is None
    assert await checkout.money() == (1, 5000, 0, 0)
    with monkeypatch.context() as patched:
        patched.setattr(checkout.gateway, "retrieve", unpaid)
        with pytest.raises(ApplicationError, match="does not know"):
            await checkout.return_money()
    await checkout.return_money()
    assert await checkout.money() == (1, 5000, 5000, 0)


async def test_a_form_with_a_lost_response_is_replaced_and_never_paid(checkout: Checkout) -> None:
    await checkout.will("timeout_after", "create")
    with pytest.raises(ApplicationError):
        await checkout.authorize()
    await checkout.authorized()
    assert await checkout.money() == (2, 0, 0, 5000)
    await checkout.return_money()
    assert await checkout.money() == (2, 0, 0, 0)


@pytest.mark.parametrize("fault", faults(of="iyzico's capture"))
async def test_a_capture_with_a_lost_response_happens_once(checkout: Checkout, fault: str) -> None:
    await checkout.authorized()
    await checkout.will(fault, "capture")
    with pytest.raises(ApplicationError):
        await checkout.capture()
    assert await checkout.capture() is None
    assert await checkout.capture() is None
    assert await checkout.money() == (1, 5000, 0, 0)
    await checkout.return_money()


@pytest.mark.parametrize("fault", faults(of="iyzico's refund"))
async def test_a_refund_with_a_lost_response_happens_once(checkout: Checkout, fault: str) -> None:
    await checkout.authorized()
    await checkout.capture()
    await checkout.will(fault, "refund")
    with pytest.raises(ApplicationError):
        await checkout.return_money()
    await checkout.return_money()
    await checkout.return_money()
    assert await checkout.money() == (1, 5000, 5000, 0)


async def test_a_part_that_a_dead_worker_has_asked_for_is_not_asked_for_again(checkout: Checkout) -> None:
    await checkout.authorized()
    await checkout.capture()
    await checkout.will("slow", "refund")
    refund = uuid4()
    dies = asyncio.ensure_future(checkout.give_back(refund, 1000))
    await eventually(checkout.is_asked, every=0.01)
    dies.cancel()
    await asyncio.wait([dies])

    with pytest.raises(ApplicationError) as waits:
        await checkout.give_back(refund, 1000)
    assert waits.value.next_retry_delay
    assert timedelta(minutes=4) < waits.value.next_retry_delay <= timedelta(minutes=5)

    async def is_given() -> bool:
        assert (await checkout.money())[2]
        return (await checkout.give_back(refund, 1000)).state is ProviderRefundState.SUCCEEDED

    await eventually(is_given)
    await checkout.give_back(uuid4(), 4000)
    assert await checkout.money() == (1, 5000, 5000, 0)


@pytest.mark.parametrize("fault", faults(of="iyzico's void"))
async def test_a_void_with_a_lost_response_happens_once(checkout: Checkout, fault: str) -> None:
    await checkout.authorized()
    await checkout.will(fault, "cancel")
    with pytest.raises(ApplicationError):
        await checkout.return_money()
    await checkout.return_money()
    assert await checkout.money() == (1, 0, 0, 0)


async def test_money_captured_with_a_lost_response_is_refunded(checkout: Checkout) -> None:
    await checkout.authorized()
    await checkout.will("reset_after", "capture")
    with pytest.raises(ApplicationError):
        await checkout.capture()
    await checkout.return_money()
    assert await checkout.money() == (1, 5000, 5000, 0)


async def test_an_expired_hold_is_no_longer_an_authorization(checkout: Checkout, platform: PlatformClient) -> None:
    await checkout.authorized()
    [intent] = await platform.provider.intents(str(checkout.booking))
    await platform.provider.expire(intent["id"])
    assert await checkout.capture() == "intent_voided"
    await checkout.return_money()
    assert await checkout.money() == (1, 0, 0, 0)
