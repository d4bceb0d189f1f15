"""Our PayU gateway against the sandbox: every outcome a booking can meet arrives in the domain's words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest

from adapters.payment.payu.gateway import PayUGateway
from domain.money import Money
from domain.payments import (
    Intent,
    IntentNotFound,
    IntentState,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)
from sandbox.payu.points import POINTS
from sandbox.testing import SandboxProcess, free_port
from tests.payu_buyer import PayUBuyer

POINT = POINTS["300746"]
PRICE = Money(amount=5000, currency="EUR")
PART = Money(amount=2000, currency="EUR")
RETURN_URL = "https://shop.example.test/return?booking=1"
IMPATIENT_SECONDS = 1

Open = Callable[..., PayUGateway]


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("payu-gateway"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def open_gateway(sandbox: SandboxProcess) -> AsyncIterator[Open]:
    opened = []

    def open_(secret: str = POINT.client_secret, url: str = sandbox.url, **more: Any) -> PayUGateway:
        given: dict[str, Any] = {"notify_url": f"{url}/nowhere", "validity_seconds": 900} | more
        opened.append(PayUGateway(POINT.id, secret, base_url=f"{url}/payu", **given))
        return opened[-1]

    yield open_
    for gateway in opened:
        await gateway.close()


@pytest.fixture
async def gateway(open_gateway: Open) -> PayUGateway:
    return open_gateway()


@pytest.fixture
async def impatient(open_gateway: Open) -> PayUGateway:
    """For calls that are left hanging, and for no others: on a busy machine any call may take so long."""
    return open_gateway(total_seconds=IMPATIENT_SECONDS)


@pytest.fixture
def booking_id() -> UUID:
    return uuid4()


async def opened(gateway: PayUGateway, booking_id: UUID, amount: Money = PRICE, number: int = 1) -> Intent:
    return await gateway.create(booking_id, amount, key=f"{booking_id}:create:{number}", return_url=RETURN_URL)


async def paid(gateway: PayUGateway, booking_id: UUID, card: str = "approved") -> Intent:
    intent = await opened(gateway, booking_id)
    await asyncio.to_thread(PayUBuyer(intent.action_url).pay, card)
    return await gateway.retrieve(intent.id)


async def taken(gateway: PayUGateway, booking_id: UUID) -> Intent:
    intent = await paid(gateway, booking_id)
    return await gateway.capture(intent.id, key=f"{booking_id}:capture:1")


def refunds(sandbox: SandboxProcess, intent: Intent) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = sandbox.call("GET", f"/_sandbox/payu/refunds?intent={intent.id}")["refunds"]
    return found


async def test_an_opened_order_sends_the_buyer_to_payu_and_moves_nothing(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await opened(gateway, booking_id)
    assert (intent.state, intent.amount, intent.captured) == (IntentState.ACTION_REQUIRED, PRICE, 0)
    assert intent.action_url is not None
    (known,) = sandbox.intents(str(booking_id))
    assert (known["id"], known["authorized"], known["manual_capture"]) == (intent.id, 0, True)
    assert (await gateway.retrieve(intent.id)).state is IntentState.ACTION_REQUIRED


async def test_a_buyer_who_pays_has_the_money_reserved_and_not_taken(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await paid(gateway, booking_id)
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.AUTHORIZED, 0, 0)


async def test_a_capture_takes_the_whole_amount(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.CAPTURED, 5000, 0)
    assert await gateway.retrieve(intent.id) == intent


async def test_a_void_releases_the_reservation_and_refunds_nothing(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await gateway.void((await paid(gateway, booking_id)).id, key=f"{booking_id}:void:1")
    assert (intent.state, intent.captured, intent.refunded) == (IntentState.VOIDED, 0, 0)
    assert sandbox.intents(str(booking_id))[0]["held"] == 0


async def test_an_unpaid_order_can_be_closed(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    assert (await gateway.void(intent.id, key=f"{booking_id}:void:1")).state is IntentState.VOIDED
    assert await asyncio.to_thread(PayUBuyer(intent.action_url).look) == "There is nothing left to pay here"


async def test_refunds_add_up(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    for number, total in ((1, 2000), (2, 4000)):
        part = Money(amount=2000, currency="EUR")
        intent = await gateway.refund(intent.id, part, key=f"{booking_id}:refund:{number}")
        assert (intent.state, intent.captured, intent.refunded) == (IntentState.CAPTURED, 5000, total)
    with pytest.raises(PaymentRejected) as refused:
        await gateway.refund(intent.id, part, key=f"{booking_id}:refund:3")
    assert refused.value.code == "AMOUNT_TO_BIG"
    rest = Money(amount=1000, currency="EUR")
    assert (await gateway.refund(intent.id, rest, key=f"{booking_id}:refund:4")).refunded == 5000
    with pytest.raises(PaymentRejected) as refused:
        await gateway.refund(intent.id, rest, key=f"{booking_id}:refund:5")
    assert refused.value.code == "PAID"


async def test_a_repeated_refund_is_the_same_refund(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    part = Money(amount=2000, currency="EUR")
    for _ in range(3):
        intent = await gateway.refund(intent.id, part, key=f"{booking_id}:refund:1")
    assert intent.refunded == 2000


async def test_a_pending_refund_is_not_counted_until_it_is_final(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    sandbox.fault("processing", str(booking_id), face="payu", operation="refund")
    key = f"{booking_id}:refund:1"
    assert (await gateway.refund(intent.id, PRICE, key=key)).refunded == 0
    (pending,) = refunds(sandbox, intent)
    assert pending["status"] == "PENDING"
    sandbox.call("POST", f"/_sandbox/payu/refunds/{pending['refundId']}/settle", {"outcome": "approved"})
    assert (await gateway.refund(intent.id, PRICE, key=key)).refunded == 5000


@pytest.mark.parametrize(
    ("outcome", "then"),
    [
        ("approved", ProviderRefund(state=ProviderRefundState.SUCCEEDED, amount=PART)),
        ("declined", ProviderRefund(state=ProviderRefundState.FAILED, code="BANK_REJECTED", amount=PART)),
    ],
)
async def test_a_refund_is_found_by_its_key_whatever_became_of_it(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID, outcome: str, then: ProviderRefund
) -> None:
    intent = await taken(gateway, booking_id)
    key = f"{booking_id}:refund:1"
    assert await gateway.retrieve_refund(intent.id, key=key) is None
    sandbox.fault("processing", str(booking_id), face="payu", operation="refund")
    await gateway.refund(intent.id, PART, key=key)
    assert await gateway.retrieve_refund(intent.id, key=key) == ProviderRefund(
        state=ProviderRefundState.PENDING, amount=PART
    )
    (pending,) = refunds(sandbox, intent)
    sandbox.call("POST", f"/_sandbox/payu/refunds/{pending['refundId']}/settle", {"outcome": outcome})
    assert await gateway.retrieve_refund(intent.id, key=key) == then
    assert await gateway.retrieve_refund(intent.id, key="another") is None


async def test_a_refund_that_fails_later_gave_nothing_back(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    sandbox.fault("processing", str(booking_id), face="payu", operation="refund")
    await gateway.refund(intent.id, PRICE, key=f"{booking_id}:refund:1")
    (pending,) = refunds(sandbox, intent)
    sandbox.call("POST", f"/_sandbox/payu/refunds/{pending['refundId']}/settle", {"outcome": "declined"})
    with pytest.raises(PaymentRejected) as failed:
        await gateway.refund(intent.id, PRICE, key=f"{booking_id}:refund:1")
    assert failed.value.code == "refund_canceled"
    assert (await gateway.retrieve(intent.id)).refunded == 0
    assert (await gateway.refund(intent.id, PRICE, key=f"{booking_id}:refund:1:1")).refunded == 5000


@pytest.mark.parametrize("code", ["S05", "S51", "S54", "S43"])
async def test_a_declined_card_reserves_nothing_and_says_why(gateway: PayUGateway, booking_id: UUID, code: str) -> None:
    intent = await paid(gateway, booking_id, card=code)
    assert (intent.state, intent.decline_code, intent.captured) == (IntentState.VOIDED, code, 0)


async def test_three_d_secure_is_waited_for_and_then_authorized(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    buyer = PayUBuyer(intent.action_url)
    await asyncio.to_thread(buyer.pay, "3ds")
    assert (await gateway.retrieve(intent.id)).state is IntentState.ACTION_REQUIRED
    assert await asyncio.to_thread(buyer.answer, "approve") == RETURN_URL
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


async def test_a_refused_three_d_secure_is_a_decline_of_its_own(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    buyer = PayUBuyer(intent.action_url)
    await asyncio.to_thread(buyer.pay, "3ds")
    assert await asyncio.to_thread(buyer.answer, "fail") == f"{RETURN_URL}&error=501"
    after = await gateway.retrieve(intent.id)
    assert (after.state, after.decline_code) == (IntentState.VOIDED, "114")


async def test_an_order_whose_time_is_over_takes_no_money(open_gateway: Open, booking_id: UUID) -> None:
    gateway = open_gateway(validity_seconds=0)
    intent = await opened(gateway, booking_id)
    await asyncio.to_thread(PayUBuyer(intent.action_url).pay, "approved")
    assert (await gateway.retrieve(intent.id)).state is IntentState.VOIDED


async def test_a_lapsed_reservation_cannot_be_captured(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await paid(gateway, booking_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/expire")
    with pytest.raises(PaymentRejected) as refused:
        await gateway.capture(intent.id, key=f"{booking_id}:capture:1")
    assert refused.value.code == "ERROR_VALUE_INVALID"
    assert (await gateway.retrieve(intent.id)).state is IntentState.VOIDED


async def test_a_refused_capture_leaves_the_reservation(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await paid(gateway, booking_id)
    sandbox.fault("decline", str(booking_id), face="payu", operation="capture")
    with pytest.raises(PaymentRejected) as refused:
        await gateway.capture(intent.id, key=f"{booking_id}:capture:1")
    assert refused.value.code == "BUSINESS_ERROR"
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


async def test_what_was_done_already_is_refused_and_changes_nothing(gateway: PayUGateway, booking_id: UUID) -> None:
    intent = await taken(gateway, booking_id)
    for again in (gateway.capture, gateway.void):
        with pytest.raises(PaymentRejected):
            await again(intent.id, key=f"{booking_id}:again:1")
    assert await gateway.retrieve(intent.id) == intent


async def test_an_order_that_does_not_exist_is_rejected(gateway: PayUGateway) -> None:
    with pytest.raises(IntentNotFound) as refused:
        await gateway.retrieve("PAYU_no/such")
    assert refused.value.code == "DATA_NOT_FOUND"


async def test_a_lost_opening_is_not_repeated_but_replaced_under_the_next_key(
    gateway: PayUGateway, impatient: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("timeout_after", str(booking_id), face="payu", operation="create", delay_seconds=5)
    with pytest.raises(PaymentUnknown) as lost:
        await opened(impatient, booking_id)
    assert not lost.value.replayed
    with pytest.raises(PaymentUnknown) as spent:
        await opened(gateway, booking_id)
    assert spent.value.replayed, "the next key may be minted"
    assert (await opened(gateway, booking_id, number=2)).action_url
    assert [each["authorized"] for each in sandbox.intents(str(booking_id))] == [0, 0]


@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after", "500_before", "500_after", "reset_after", "429"])
async def test_a_lost_answer_is_unknown_and_looking_it_up_tells(
    gateway: PayUGateway,
    impatient: PayUGateway,
    sandbox: SandboxProcess,
    booking_id: UUID,
    operation: str,
    kind: str,
) -> None:
    intent = await (taken if operation == "refund" else paid)(gateway, booking_id)
    before, by = intent.state, impatient if kind.startswith("timeout") else gateway
    sandbox.fault(kind, str(booking_id), face="payu", operation=operation, delay_seconds=2)
    with pytest.raises(PaymentUnknown):
        await {
            "capture": lambda: by.capture(intent.id, key="k"),
            "cancel": lambda: by.void(intent.id, key="k"),
            "refund": lambda: by.refund(intent.id, PRICE, key="k"),
        }[operation]()
    after = await gateway.retrieve(intent.id)
    done = {"capture": after.captured, "cancel": after.state is IntentState.VOIDED, "refund": after.refunded}
    assert bool(done[operation]) is kind.endswith("after")
    if not kind.endswith("after"):
        assert after.state is before


async def test_a_provider_that_asks_for_patience_is_heard(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("429", str(booking_id), face="payu", operation="create", retry_after=7)
    with pytest.raises(PaymentUnknown) as busy:
        await opened(gateway, booking_id)
    assert busy.value.retry_after == 7


async def test_a_provider_that_is_away_is_unknown(open_gateway: Open, booking_id: UUID) -> None:
    with pytest.raises(PaymentUnknown):
        await opened(open_gateway(url=f"http://127.0.0.1:{free_port()}"), booking_id)


async def test_a_wrong_secret_is_rejected(open_gateway: Open, booking_id: UUID) -> None:
    with pytest.raises(PaymentRejected) as refused:
        await opened(open_gateway(secret="wrong"), booking_id)
    assert refused.value.code == "invalid_client"


async def test_a_currency_that_payu_does_not_take_is_rejected_before_anything_is_sent(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    with pytest.raises(PaymentRejected, match="JPY"):
        await opened(gateway, booking_id, Money(amount=5000, currency="JPY"))
    assert sandbox.intents(str(booking_id)) == []


async def test_every_currency_that_we_name_is_taken_in_our_minor_units(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    for number, currency in enumerate(sorted(gateway.provider.currencies)):
        await opened(gateway, booking_id, Money(amount=12345, currency=currency), number)
    known = sandbox.intents(str(booking_id))
    assert {each["currency"] for each in known} == gateway.provider.currencies.keys()
    assert {each["amount"] for each in known} == {12345}


async def test_many_calls_at_once_fetch_one_token(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    before = len(sandbox.call("GET", "/_sandbox/requests?operation=token&limit=20000")["requests"])
    await asyncio.gather(*(opened(gateway, booking_id, number=number) for number in range(20)))
    after = len(sandbox.call("GET", "/_sandbox/requests?operation=token&limit=20000")["requests"])
    assert after == before + 1


async def test_a_token_that_payu_has_ended_is_replaced_at_the_next_try(
    gateway: PayUGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await opened(gateway, booking_id)
    sandbox.call("DELETE", "/_sandbox/payu/tokens")
    with pytest.raises(PaymentUnknown):
        await gateway.retrieve(intent.id)
    assert (await gateway.retrieve(intent.id)).state is IntentState.ACTION_REQUIRED
