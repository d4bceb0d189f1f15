"""With each guard of the buyer's money broken, the audit names the booking with the wrong money."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from temporalio.exceptions import ApplicationError

from activities.payment import payments
from activities.reservation.bookings import Release, Step
from adapters.payment.stripe.gateway import StripeGateway
from audit import queries
from domain.bookings import BookingStatus
from domain.buyers import UNKNOWN, BuyerDetails
from domain.money import Money
from domain.payments import Intent, IntentState
from sandbox.testing import API_KEY, SandboxProcess
from tests.audit.harness import Harness, step
from tests.scale import sample
from tests.waiting import eventually

OWED, ONCE = "money taken is money owed", "a booking is paid once"
PROVIDER = "the ledger matches the provider"
AUTHORIZED, ATTEMPTS = "no money stays authorized", "attempts match the provider"
AMOUNT = "money is of the amount and currency owed"


class WithoutKeys(StripeGateway):
    """A gateway that never reuses an idempotency key."""

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        return await super().create(booking_id, amount, return_url=return_url, key=str(uuid4()))

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        return await super().confirm(intent_id, payment_method, return_url=return_url, key=str(uuid4()))

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        return await super().capture(intent_id, key=str(uuid4()))


class Lazy(StripeGateway):
    """A gateway that reports success without moving money."""

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        return await self._as_if(intent_id, IntentState.CAPTURED)

    async def void(self, intent_id: str, *, key: str) -> Intent:
        return await self._as_if(intent_id, IntentState.VOIDED)

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        return await self._as_if(intent_id, IntentState.CAPTURED)

    async def _as_if(self, intent_id: str, state: IntentState) -> Intent:
        intent = await self.retrieve(intent_id)
        taken = intent.amount.amount if intent.amount and state is IntentState.CAPTURED else intent.captured
        return intent.model_copy(update={"state": state, "captured": taken})


class Misreading(StripeGateway):
    """A gateway whose provider takes other money than it is asked for."""

    other = Money(amount=4999, currency="EUR")

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        return await super().create(booking_id, self.other, return_url=return_url, key=key, buyer=buyer)


class InDollars(Misreading):
    """The same, with the right number and the wrong currency."""

    other = Money(amount=5000, currency="USD")


class TakesLess(StripeGateway):
    """A gateway that captures a part of what is reserved."""

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        capture = self._client.v1.payment_intents.capture_async
        return await self._intent(capture(intent_id, {"amount_to_capture": 4999}, {"idempotency_key": key}))


@pytest.fixture
def without_keys(sandbox: SandboxProcess) -> StripeGateway:
    return WithoutKeys(API_KEY, base_url=sandbox.url)


@pytest.fixture
def lazy(sandbox: SandboxProcess) -> StripeGateway:
    return Lazy(API_KEY, base_url=sandbox.url)


async def charged_again_after_forgetting(harness: Harness, gateway: StripeGateway) -> str:
    """A booking that is charged twice, since its attempt was lost after the first charge, as by a restored backup."""
    booking = await harness.authorized("A-1-1", gateway=gateway)
    assert await step(harness.seats().commit, Step(booking=booking)) is None
    for _ in range(2):
        await harness.sql("payment", "DELETE FROM attempts WHERE booking_id = :id", id=booking.id)
        await harness.authorize(booking, gateway)
        await step(harness.money(gateway).capture, booking.id)
    await step(harness.seats().issue, Step(booking=booking))
    return str(booking.id)


async def test_a_second_charge_is_found_without_the_idempotency_key(
    harness: Harness, without_keys: StripeGateway
) -> None:
    booking = await charged_again_after_forgetting(harness, without_keys)
    await without_keys.close()
    assert await harness.finds() == {(check, booking) for check in (OWED, ONCE, AUTHORIZED, PROVIDER)}


async def test_keys_keep_a_buyer_from_being_charged_twice(harness: Harness) -> None:
    assert isinstance(harness.gateway, StripeGateway)
    await charged_again_after_forgetting(harness, harness.gateway)
    assert await harness.finds() == set()


async def test_money_that_stays_reserved_is_found_without_the_void(harness: Harness, lazy: StripeGateway) -> None:
    booking = await harness.authorized("A-1-1")
    await step(harness.money(lazy).return_money, booking.id)
    await harness.end(booking)
    await lazy.close()
    assert await harness.finds() == {(check, str(booking.id)) for check in (AUTHORIZED, ATTEMPTS, PROVIDER)}


async def test_money_captured_without_tickets_is_found_without_the_refund(
    harness: Harness, lazy: StripeGateway
) -> None:
    booking = await harness.authorized("A-1-1")
    await step(harness.money().capture, booking.id)
    await step(harness.money(lazy).return_money, booking.id)
    await harness.end(booking)
    await lazy.close()
    assert await harness.finds() == {(check, str(booking.id)) for check in (OWED, ATTEMPTS, PROVIDER)}


async def test_a_ticket_without_money_is_found_without_the_capture(harness: Harness, lazy: StripeGateway) -> None:
    booking = await harness.bought("A-1-1", gateway=lazy)
    await lazy.close()
    assert await harness.finds() == {(check, str(booking.id)) for check in (OWED, AUTHORIZED, ATTEMPTS, PROVIDER)}


async def test_an_open_payment_is_found_when_places_are_released_before_the_money(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    await harness.end(booking)
    assert await harness.finds() == {(AUTHORIZED, str(booking.id))}


OTHER_MONEY: list[tuple[type[StripeGateway], set[str]]] = [
    (InDollars, {AMOUNT, OWED, PROVIDER}),
    (Misreading, {AMOUNT, OWED, ATTEMPTS, PROVIDER}),
    (TakesLess, {AMOUNT, OWED, ATTEMPTS, PROVIDER}),
]


@pytest.mark.parametrize(("kind", "broken"), sample(OTHER_MONEY, 1, of="other money than is owed"))
async def test_other_money_is_found_without_the_comparison_with_what_is_owed(
    harness: Harness,
    sandbox: SandboxProcess,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[StripeGateway],
    broken: set[str],
) -> None:
    monkeypatch.setattr(payments, "check_payment", lambda *_: None)
    gateway = kind(API_KEY, base_url=sandbox.url)
    booking = await harness.bought("A-1-1", gateway=gateway)
    await gateway.close()
    assert await harness.finds() == {(check, str(booking.id)) for check in broken}


@pytest.mark.parametrize("kind", sample([InDollars, Misreading], 1, of="gateways that misread"))
async def test_other_money_than_is_owed_is_never_taken(
    harness: Harness, sandbox: SandboxProcess, kind: type[StripeGateway]
) -> None:
    gateway = kind(API_KEY, base_url=sandbox.url)
    booking = await harness.held("A-1-1")
    with pytest.raises(ApplicationError, match=r"owed are EUR 50\.00") as error:
        await harness.authorize(booking, gateway)
    assert (error.value.type, error.value.non_retryable) == ("AmountDiffers", True)
    await step(harness.money(gateway).return_money, booking.id)
    await gateway.close()
    await harness.end(booking)
    assert await harness.finds() == set()


async def test_an_attempt_in_another_currency_than_its_bookings_is_found(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1", currency="TRY")
    saga = await harness.saga(booking)
    assert await harness.finds() == {(AMOUNT, str(booking.id))}  # before the money is taken
    await saga.terminate()
    await harness.listed(f"WorkflowId = '{saga.id}' AND ExecutionStatus = 'Terminated'")
    assert await step(harness.seats().commit, Step(booking=booking)) is None
    await step(harness.money().capture, booking.id)
    await step(harness.seats().issue, Step(booking=booking))
    assert await harness.finds() == {(AMOUNT, str(booking.id)), (OWED, str(booking.id))}


async def test_less_than_is_owed_is_never_taken_for_all(harness: Harness, sandbox: SandboxProcess) -> None:
    gateway = TakesLess(API_KEY, base_url=sandbox.url)
    booking = await harness.authorized("A-1-1", gateway=gateway)
    assert await step(harness.seats().commit, Step(booking=booking)) is None
    with pytest.raises(ApplicationError, match=r"captured EUR 49\.99"):
        await step(harness.money(gateway).capture, booking.id)
    await step(harness.money(gateway).return_money, booking.id)
    await gateway.close()
    await step(harness.seats().release, Release(booking=booking, to=BookingStatus.FAILED))
    assert await harness.finds() == set()


async def test_a_booking_whose_saga_may_still_move_its_money_is_excused_and_counted(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    assert await queries.excused(harness.connections) == {}
    saga = await harness.saga(booking)
    try:
        assert await eventually(lambda: queries.excused(harness.connections)) == {"paying": 1}
    finally:
        await saga.terminate()
