"""Our gateway against the sandbox: every outcome a booking can meet arrives in the domain's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
import stripe

from adapters.payment.stripe.gateway import StripeGateway, read_intent
from domain.money import Money
from domain.payments import (
    AmountRejected,
    Intent,
    IntentNotFound,
    IntentState,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)
from sandbox.testing import API_KEY, SandboxProcess, free_port
from tests.waiting import eventually

PRICE = Money(amount=5000, currency="EUR")
RETURN_URL = "https://shop.example.test/return"
IMPATIENT_SECONDS = 1


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("gateway-sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def gateway(sandbox: SandboxProcess) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(API_KEY, base_url=sandbox.url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def impatient(sandbox: SandboxProcess) -> AsyncIterator[StripeGateway]:
    """For calls that are left hanging, and for no others: on a busy machine any call may take so long."""
    gateway = StripeGateway(API_KEY, base_url=sandbox.url, total_seconds=IMPATIENT_SECONDS)
    yield gateway
    await gateway.close()


@pytest.fixture
def booking_id() -> UUID:
    return uuid4()


async def opened(gateway: StripeGateway, booking_id: UUID, amount: Money = PRICE) -> Intent:
    return await gateway.create(booking_id, amount, key=f"{booking_id}:create:{uuid4()}", return_url=RETURN_URL)


async def held(gateway: StripeGateway, booking_id: UUID, card: str = "pm_card_visa") -> Intent:
    intent = await opened(gateway, booking_id)
    return await gateway.confirm(intent.id, card, return_url=RETURN_URL, key=f"{booking_id}:confirm:1")


async def taken(gateway: StripeGateway, booking_id: UUID) -> Intent:
    intent = await held(gateway, booking_id)
    return await gateway.capture(intent.id, key=f"{booking_id}:capture:1")


def approve(url: str) -> None:
    """What the buyer's browser posts."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    with closing(connection):
        connection.request("POST", parts.path, "outcome=approve", {"Content-Type": "application/x-www-form-urlencoded"})
        assert connection.getresponse().status == 303


async def test_an_opened_intent_owes_the_booking_s_amount_and_moves_nothing(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await opened(gateway, booking_id)
    assert (intent.state, intent.amount, intent.captured) == (IntentState.OPEN, PRICE, 0)
    (known,) = sandbox.intents(str(booking_id))
    assert (known["id"], known["metadata"], known["authorized"]) == (intent.id, {"booking_id": str(booking_id)}, 0)


async def test_a_good_card_is_authorized_and_nothing_is_taken(gateway: StripeGateway, booking_id: UUID) -> None:
    intent = await held(gateway, booking_id)
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.AUTHORIZED, 0, 0)


async def test_a_capture_takes_the_whole_amount(gateway: StripeGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.CAPTURED, 5000, 0)
    assert await gateway.retrieve(intent.id) == intent


async def test_a_void_releases_the_reservation_and_refunds_nothing(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await gateway.void((await held(gateway, booking_id)).id, key=f"{booking_id}:void:1")
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.VOIDED, 0, 0)
    assert sandbox.intents(str(booking_id))[0]["held"] == 0


async def test_refunds_add_up(gateway: StripeGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    for number, total in ((1, 2000), (2, 4000)):
        part = Money(amount=2000, currency="EUR")
        intent = await gateway.refund(intent.id, part, key=f"{booking_id}:refund:{number}")
        assert (intent.state, intent.captured, intent.refunded) == (IntentState.CAPTURED, 5000, total)
    with pytest.raises(PaymentRejected):
        await gateway.refund(intent.id, part, key=f"{booking_id}:refund:3")
    rest = Money(amount=1000, currency="EUR")
    assert (await gateway.refund(intent.id, rest, key=f"{booking_id}:refund:4")).refunded == 5000
    with pytest.raises(PaymentRejected) as refused:
        await gateway.refund(intent.id, rest, key=f"{booking_id}:refund:5")
    assert refused.value.code == "charge_already_refunded"


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ("pm_card_visa_chargeDeclined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error"),
    ],
)
async def test_a_declined_card_reserves_nothing_and_says_why(
    gateway: StripeGateway, booking_id: UUID, card: str, code: str
) -> None:
    intent = await opened(gateway, booking_id)
    with pytest.raises(PaymentDeclined) as declined:
        await gateway.confirm(intent.id, card, return_url=RETURN_URL, key=f"{booking_id}:confirm:1")
    assert declined.value.code == code
    assert (await gateway.retrieve(intent.id)).state is IntentState.OPEN
    key = f"{booking_id}:confirm:2"
    again = await gateway.confirm(intent.id, "pm_card_visa", return_url=RETURN_URL, key=key)
    assert again.state is IntentState.AUTHORIZED


async def test_three_d_secure_sends_the_buyer_to_the_bank_first(gateway: StripeGateway, booking_id: UUID) -> None:
    intent = await held(gateway, booking_id, "pm_card_threeDSecure2Required")
    assert intent.state is IntentState.ACTION_REQUIRED
    assert intent.action_url is not None
    await asyncio.to_thread(approve, intent.action_url)
    after = await gateway.retrieve(intent.id)
    assert (after.state, after.action_url) == (IntentState.AUTHORIZED, None)


async def test_a_payment_that_is_not_decided_yet_is_processing(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("processing", str(booking_id))
    assert (await held(gateway, booking_id)).state is IntentState.PROCESSING


@pytest.mark.parametrize("kind", ["timeout_after", "reset_after", "500_after"])
async def test_a_lost_answer_is_unknown_and_the_look_up_finds_the_money(
    gateway: StripeGateway, impatient: StripeGateway, sandbox: SandboxProcess, booking_id: UUID, kind: str
) -> None:
    intent = await opened(gateway, booking_id)
    sandbox.fault(kind, str(booking_id), operation="confirm")
    by = impatient if kind.startswith("timeout") else gateway
    with pytest.raises(PaymentUnknown) as unknown:
        await by.confirm(intent.id, "pm_card_visa", return_url=RETURN_URL, key=f"{booking_id}:confirm:1")
    assert not unknown.value.replayed
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


@pytest.mark.parametrize("kind", ["timeout_before", "reset_before", "500_before"])
async def test_a_call_that_never_arrived_is_unknown_and_may_be_repeated_under_its_key(
    gateway: StripeGateway, impatient: StripeGateway, sandbox: SandboxProcess, booking_id: UUID, kind: str
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.fault(kind, str(booking_id), operation="capture")
    with pytest.raises(PaymentUnknown):
        await (impatient if kind.startswith("timeout") else gateway).capture(intent.id, key=f"{booking_id}:capture:1")
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED
    assert (await gateway.capture(intent.id, key=f"{booking_id}:capture:1")).captured == 5000


async def test_a_saved_failure_says_that_its_key_is_used_up(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.fault("500_saved", str(booking_id), operation="capture")
    for replayed in (False, True):
        with pytest.raises(PaymentUnknown) as unknown:
            await gateway.capture(intent.id, key=f"{booking_id}:capture:1")
        assert unknown.value.replayed is replayed
    assert (await gateway.capture(intent.id, key=f"{booking_id}:capture:2")).captured == 5000


async def test_a_rate_limit_tells_how_long_to_wait(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("429", str(booking_id), retry_after=7)
    with pytest.raises(PaymentUnknown) as limited:
        await opened(gateway, booking_id)
    assert limited.value.retry_after == 7.0
    assert not sandbox.intents(str(booking_id))


async def test_a_second_call_while_the_first_runs_is_unknown_and_takes_once(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.fault("slow", str(booking_id), operation="capture", delay_seconds=2)
    calls = (gateway.capture(intent.id, key=f"{booking_id}:capture:1") for _ in range(2))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Intent", "PaymentUnknown"]
    assert (await gateway.retrieve(intent.id)).captured == 5000


async def test_an_effect_may_land_after_we_gave_up_waiting(
    gateway: StripeGateway, impatient: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.fault("slow", str(booking_id), operation="capture", delay_seconds=2 * IMPATIENT_SECONDS)
    with pytest.raises(PaymentUnknown):
        await impatient.capture(intent.id, key=f"{booking_id}:capture:1")
    await until_captured(gateway, intent.id)


async def until_captured(gateway: StripeGateway, intent_id: str) -> None:
    async def captured() -> bool:
        return (await gateway.retrieve(intent_id)).state is IntentState.CAPTURED

    await eventually(captured)


async def test_repeating_a_call_under_its_key_has_one_effect_and_tells_the_truth_of_today(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent, again = [
        await gateway.create(booking_id, PRICE, key=f"{booking_id}:create:1", return_url=RETURN_URL) for _ in range(2)
    ]
    assert intent == again
    await gateway.void(intent.id, key=f"{booking_id}:void:1")
    replayed = await gateway.create(booking_id, PRICE, key=f"{booking_id}:create:1", return_url=RETURN_URL)
    assert (replayed.id, replayed.state) == (intent.id, IntentState.VOIDED)
    assert len(sandbox.intents(str(booking_id))) == 1


async def test_repeating_a_refund_under_its_key_pays_once(gateway: StripeGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    part = Money(amount=1000, currency="EUR")
    for _ in range(2):
        after = await gateway.refund(intent.id, part, key=f"{booking_id}:refund:1")
        assert after.refunded == 1000


async def test_a_key_used_for_something_else_is_our_mistake(gateway: StripeGateway, booking_id: UUID) -> None:
    await gateway.create(booking_id, PRICE, key=f"{booking_id}:create:1", return_url=RETURN_URL)
    with pytest.raises(PaymentRejected) as refused:
        await gateway.create(
            booking_id, Money(amount=6000, currency="EUR"), key=f"{booking_id}:create:1", return_url=RETURN_URL
        )
    assert refused.value.code == "idempotency_error"


async def test_what_is_done_already_is_told_apart(gateway: StripeGateway, booking_id: UUID) -> None:
    captured = await taken(gateway, booking_id)
    voided = await gateway.void((await opened(gateway, booking_id)).id, key=f"{booking_id}:void:1")
    again = [
        gateway.capture(captured.id, key=f"{booking_id}:capture:2"),
        gateway.void(voided.id, key=f"{booking_id}:void:2"),
        gateway.void(captured.id, key=f"{booking_id}:void:3"),
        gateway.confirm(captured.id, "pm_card_visa", return_url=RETURN_URL, key=f"{booking_id}:confirm:2"),
    ]
    for call in again:
        with pytest.raises(PaymentRejected) as refused:
            await call
        assert refused.value.code == "payment_intent_unexpected_state"


async def test_a_hold_that_lapsed_is_voided(gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID) -> None:
    intent = await held(gateway, booking_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/expire")
    assert (await gateway.retrieve(intent.id)).state is IntentState.VOIDED


@pytest.mark.parametrize(
    "method",
    ["4242424242424242", "4242 4242 4242 4242", "pm_4242424242424242", "tok_visa", "pm_card/../x", "pm_", "", "pm_é"],
)
async def test_a_card_number_never_leaves_and_is_never_repeated(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID, method: str
) -> None:
    intent = await opened(gateway, booking_id)
    with pytest.raises(PaymentRejected) as refused:
        await gateway.confirm(intent.id, method, return_url=RETURN_URL, key=f"{booking_id}:confirm:1")
    assert len(method) < 5 or method not in str(refused.value)
    assert not sandbox.requests(str(booking_id), "confirm")


async def test_an_unknown_intent_or_key_or_amount_is_rejected(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    with pytest.raises(IntentNotFound) as missing:
        await gateway.retrieve("pi_nobody")
    assert missing.value.code == "resource_missing"
    with pytest.raises(AmountRejected) as small:
        await opened(gateway, booking_id, Money(amount=1, currency="EUR"))
    assert small.value.code == "amount_too_small"
    stranger = StripeGateway("sk_live_wrong", base_url=sandbox.url)
    with pytest.raises(PaymentRejected):
        await opened(stranger, booking_id)
    await stranger.close()


@pytest.mark.parametrize(
    ("amount", "stripe_amount"),
    [
        (Money(amount=500, currency="JPY"), 500),
        (Money(amount=5000, currency="KWD"), 5000),
        (Money(amount=1500, currency="ISK"), 150_000),
        (Money(amount=5000, currency="UGX"), 500_000),
        (Money(amount=500_000, currency="MGA"), 5000),
    ],
)
async def test_every_currency_reaches_stripe_in_its_own_unit_and_comes_back_in_ours(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID, amount: Money, stripe_amount: int
) -> None:
    intent = await held_of(gateway, booking_id, amount)
    after = await gateway.capture(intent.id, key=f"{booking_id}:capture:1")
    assert (after.amount, after.captured) == (amount, amount.amount)
    assert sandbox.intents(str(booking_id))[0]["amount"] == stripe_amount
    assert (await gateway.refund(intent.id, amount, key=f"{booking_id}:refund:1")).refunded == amount.amount


async def held_of(gateway: StripeGateway, booking_id: UUID, amount: Money) -> Intent:
    intent = await opened(gateway, booking_id, amount)
    return await gateway.confirm(intent.id, "pm_card_visa", return_url=RETURN_URL, key=f"{booking_id}:confirm:1")


@pytest.mark.parametrize(("amount", "currency"), [(4999, "EUR"), (5001, "EUR"), (5000, "USD")])
async def test_what_is_paid_is_reported_as_it_is_and_not_as_it_was_asked_for(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID, amount: int, currency: str
) -> None:
    intent = await opened(gateway, booking_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/alter", {"amount": amount, "currency": currency.lower()})
    key = f"{booking_id}:confirm:1"
    reserved = await gateway.confirm(intent.id, "pm_card_visa", return_url=RETURN_URL, key=key)
    assert reserved.amount == Money(amount=amount, currency=currency)


@pytest.mark.parametrize(("status", "reported"), [("requires_capture", 4000), ("requires_action", 5000)])
def test_what_is_reserved_counts_and_not_what_was_asked_for(status: str, reported: int) -> None:
    fields = {"amount": 5000, "amount_capturable": 4000, "amount_received": 0, "currency": "eur", "latest_charge": None}
    unused = {"next_action": None, "last_payment_error": None}
    given = stripe.PaymentIntent.construct_from({"id": "pi_1", "status": status, **fields, **unused}, API_KEY)
    assert read_intent(given).amount == Money(amount=reported, currency="EUR")


async def test_an_amount_that_stripe_cannot_express_is_rejected_before_it_is_sent(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    with pytest.raises(AmountRejected):
        await opened(gateway, booking_id, Money(amount=12_345, currency="MGA"))
    assert not sandbox.requests(str(booking_id), "create")


async def test_an_unreachable_provider_is_unknown(booking_id: UUID) -> None:
    gateway = StripeGateway(API_KEY, base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PaymentUnknown):
        await opened(gateway, booking_id)
    await gateway.close()


async def test_a_refund_is_found_again_by_its_key_as_it_stands(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    part = Money(amount=1000, currency="EUR")
    key = f"{booking_id}:refund:1"
    assert await gateway.retrieve_refund(intent.id, key=key) is None
    sandbox.fault("processing", str(booking_id), operation="refund")
    await gateway.refund(intent.id, part, key=key)
    assert await gateway.retrieve_refund(intent.id, key=key) == ProviderRefund(
        state=ProviderRefundState.PENDING, amount=part
    )
    [pending] = sandbox.call("GET", f"/_sandbox/intents/{intent.id}/refunds")["refunds"]
    sandbox.call("POST", f"/_sandbox/refunds/{pending['id']}/settle", {"outcome": "failed"})
    found = await gateway.retrieve_refund(intent.id, key=key)
    assert found == ProviderRefund(state=ProviderRefundState.FAILED, code="expired_or_canceled_card", amount=part)
    assert (await gateway.retrieve(intent.id)).refunded == 0
    assert await gateway.retrieve_refund(intent.id, key="another") is None


async def test_a_refund_that_fails_at_once_is_rejected_and_gives_nothing_back(
    gateway: StripeGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    sandbox.fault("decline", str(booking_id), operation="refund")
    with pytest.raises(PaymentRejected) as refused:
        await gateway.refund(intent.id, PRICE, key=f"{booking_id}:refund:1")
    assert refused.value.code == "refund_failed"
    assert (await gateway.retrieve(intent.id)).refunded == 0
