"""Our iyzico gateway against the sandbox: what a buyer does on the form arrives in the domain's words, and no effect is
made twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from adapters.payment.iyzico import IYZICO
from adapters.payment.iyzico.gateway import IyzicoGateway
from domain.money import Money
from domain.payments import (
    Intent,
    IntentState,
    PaymentDeclined,
    PaymentRejected,
    PaymentUnknown,
    ProviderRefund,
    ProviderRefundState,
)
from sandbox.testing import SandboxProcess, free_port
from tests.iyzico_buyer import APPROVED, DO_NOT_HONOUR, EXPIRED, LOST, NO_FUNDS, authenticate, pay_with
from tests.sandbox.iyzico_shop import API_KEY, SECRET_KEY

PRICE = Money(amount=5010, currency="TRY")
RETURN_URL = "https://shop.example.test/return"
FINAL_CARD = "5406670000000009"


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("iyzico-sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def gateway(sandbox: SandboxProcess) -> AsyncIterator[IyzicoGateway]:
    gateway = IyzicoGateway(API_KEY, SECRET_KEY, base_url=sandbox.url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def impatient(sandbox: SandboxProcess) -> AsyncIterator[IyzicoGateway]:
    """For calls that are left hanging, and for no others: on a busy machine any call may take so long."""
    gateway = IyzicoGateway(API_KEY, SECRET_KEY, base_url=sandbox.url, total_seconds=1)
    yield gateway
    await gateway.close()


@pytest.fixture
def booking_id() -> UUID:
    return uuid4()


async def opened(gateway: IyzicoGateway, booking_id: UUID, amount: Money = PRICE) -> Intent:
    return await gateway.create(booking_id, amount, key=f"{booking_id}:create:1", return_url=RETURN_URL)


async def held(gateway: IyzicoGateway, booking_id: UUID, card: str = APPROVED) -> Intent:
    intent = await opened(gateway, booking_id)
    await asyncio.to_thread(pay_with, str(intent.action_url), card)
    return await gateway.retrieve(intent.id)


async def taken(gateway: IyzicoGateway, booking_id: UUID) -> Intent:
    return await gateway.capture((await held(gateway, booking_id)).id, key=f"{booking_id}:capture:1")


def captured(sandbox: SandboxProcess, booking_id: UUID) -> int:
    return sum(intent["captured"] for intent in sandbox.intents(str(booking_id)))


def refunded(sandbox: SandboxProcess, booking_id: UUID) -> int:
    return sum(intent["refunded"] for intent in sandbox.intents(str(booking_id)))


@pytest.mark.parametrize("currency", sorted(IYZICO.currencies))
async def test_a_new_form_sends_the_buyer_to_iyzico_s_page_and_owes_what_the_booking_owes(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID, currency: str
) -> None:
    amount = Money(amount=1, currency=currency)
    intent = await opened(gateway, booking_id, amount)
    assert (intent.state, intent.amount) == (IntentState.ACTION_REQUIRED, amount)
    assert str(intent.action_url).startswith("http")
    (known,) = sandbox.intents(str(booking_id))
    assert (known["id"], known["amount"], known["currency"], known["authorized"]) == (intent.id, 1, currency, 0)


async def test_a_currency_that_iyzico_does_not_take_is_rejected_before_anything_is_sent(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    with pytest.raises(PaymentRejected, match="CHF"):
        await opened(gateway, booking_id, Money(amount=5000, currency="CHF"))
    assert sandbox.requests(str(booking_id), "create") == []


async def test_an_unpaid_form_still_waits_for_its_buyer(gateway: IyzicoGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    assert (await gateway.retrieve(intent.id)).state is IntentState.ACTION_REQUIRED


async def test_a_buyer_who_pays_reserves_the_money(gateway: IyzicoGateway, booking_id: UUID) -> None:
    intent = await held(gateway, booking_id)
    assert (intent.state, intent.amount, intent.captured) == (IntentState.AUTHORIZED, PRICE, 0)


@pytest.mark.parametrize(
    ("card", "reason"),
    [
        (NO_FUNDS, "NOT_SUFFICIENT_FUNDS"),
        (DO_NOT_HONOUR, "DO_NOT_HONOUR"),
        (LOST, "LOST_CARD"),
        (EXPIRED, "EXPIRED_CARD"),
    ],
)
async def test_a_card_refused_on_the_page_is_reported_and_another_one_may_pay(
    gateway: IyzicoGateway, booking_id: UUID, card: str, reason: str
) -> None:
    intent = await held(gateway, booking_id, card)
    assert (intent.state, intent.decline_code) == (IntentState.ACTION_REQUIRED, reason)


async def test_a_buyer_at_three_d_secure_is_waited_for(gateway: IyzicoGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    url = str(intent.action_url)
    await asyncio.to_thread(pay_with, url, APPROVED, with_3ds=True)
    assert (await gateway.retrieve(intent.id)).state is IntentState.ACTION_REQUIRED
    await asyncio.to_thread(authenticate, url, approve=True)
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


@pytest.mark.parametrize(
    ("card", "approve", "reason"), [(APPROVED, False, "MDSTATUS_0"), (NO_FUNDS, True, "NOT_SUFFICIENT_FUNDS")]
)
async def test_a_refusal_after_three_d_secure_ends_the_visit_with_its_reason(
    gateway: IyzicoGateway, booking_id: UUID, card: str, approve: bool, reason: str
) -> None:
    intent = await opened(gateway, booking_id)
    url = str(intent.action_url)
    await asyncio.to_thread(pay_with, url, card, with_3ds=True)
    await asyncio.to_thread(authenticate, url, approve=approve)
    after = await gateway.retrieve(intent.id)
    assert (after.state, after.decline_code) == (IntentState.OPEN, reason)


async def test_a_payment_under_review_is_not_decided_yet(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("processing", str(booking_id), face="iyzico", operation="confirm")
    intent = await held(gateway, booking_id)
    assert intent.state is IntentState.PROCESSING
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/settle", {"outcome": "approved"})
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


async def test_capture_takes_the_whole_amount_once(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    assert (intent.state, intent.captured) == (IntentState.CAPTURED, PRICE.amount)
    again = await gateway.capture(intent.id, key=f"{booking_id}:capture:1")
    assert (again.state, again.captured) == (IntentState.CAPTURED, PRICE.amount)
    assert captured(sandbox, booking_id) == PRICE.amount
    assert len(sandbox.requests(str(booking_id), "capture")) == 1


@pytest.mark.parametrize("currency", sorted(IYZICO.currencies))
async def test_money_is_taken_in_the_currency_in_which_it_was_reserved(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID, currency: str
) -> None:
    intent = await opened(gateway, booking_id, Money(amount=5010, currency=currency))
    await asyncio.to_thread(pay_with, str(intent.action_url), APPROVED)
    assert (await gateway.capture(intent.id, key=f"{booking_id}:capture:1")).captured == 5010
    assert captured(sandbox, booking_id) == 5010


async def test_a_capture_that_comes_in_between_is_looked_up_again(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    keys = [f"{booking_id}:capture:{number}" for number in range(4)]
    outcomes = await asyncio.gather(*(gateway.capture(intent.id, key=key) for key in keys), return_exceptions=True)
    assert all(isinstance(each, Intent | PaymentUnknown) for each in outcomes)
    assert captured(sandbox, booking_id) == PRICE.amount


async def test_a_bank_that_refuses_the_capture_is_a_decline(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.fault("decline", str(booking_id), face="iyzico", operation="capture", code="EXPIRED_CARD")
    with pytest.raises(PaymentDeclined) as refused:
        await gateway.capture(intent.id, key="k")
    assert refused.value.code == "EXPIRED_CARD"
    assert (await gateway.retrieve(intent.id)).state is IntentState.AUTHORIZED


async def test_void_releases_what_is_reserved_and_may_be_repeated(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    for _ in range(2):
        assert (await gateway.void(intent.id, key="k")).state is IntentState.VOIDED
    assert (await gateway.retrieve(intent.id)).state is IntentState.VOIDED
    assert len(sandbox.requests(str(booking_id), "cancel")) == 1
    with pytest.raises(PaymentRejected, match="voided"):
        await gateway.capture(intent.id, key="k")


async def test_a_form_that_may_still_be_paid_cannot_be_withdrawn(gateway: IyzicoGateway, booking_id: UUID) -> None:
    intent = await opened(gateway, booking_id)
    with pytest.raises(PaymentRejected) as refused:
        await gateway.void(intent.id, key="k")
    assert refused.value.code == "form_open"
    for effect in (gateway.capture(intent.id, key="k"), gateway.refund(intent.id, PRICE, key="k")):
        with pytest.raises(PaymentRejected, match="nothing was paid"):
            await effect


async def test_a_visit_that_a_refusal_has_ended_leaves_nothing_to_release(
    gateway: IyzicoGateway, booking_id: UUID
) -> None:
    intent = await opened(gateway, booking_id)
    await asyncio.to_thread(pay_with, str(intent.action_url), APPROVED, with_3ds=True)
    await asyncio.to_thread(authenticate, str(intent.action_url), approve=False)
    assert (await gateway.void(intent.id, key="k")).state is IntentState.OPEN


async def test_money_that_was_taken_is_not_voided(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    with pytest.raises(PaymentRejected) as refused:
        await gateway.void(intent.id, key="k")
    assert refused.value.code == "intent_captured"
    assert refunded(sandbox, booking_id) == 0


async def test_a_hold_that_the_bank_took_back_is_gone(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await held(gateway, booking_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/expire")
    assert (await gateway.retrieve(intent.id)).state is IntentState.VOIDED


async def test_refunds_are_made_once_for_each_key(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    part = Money(amount=1005, currency="TRY")
    for key in ("refund:1", "refund:1", "refund:2"):
        intent = await gateway.refund(intent.id, part, key=key)
    assert (intent.state, intent.refunded) == (IntentState.CAPTURED, 2010)
    assert (await gateway.retrieve(intent.id)).refunded == refunded(sandbox, booking_id) == 2010
    with pytest.raises(PaymentRejected):
        await gateway.refund(intent.id, PRICE, key="refund:3")
    assert (await gateway.refund(intent.id, Money(amount=3000, currency="TRY"), key="refund:4")).refunded == 5010


@pytest.mark.parametrize(("amount", "currency"), [(5009, "TRY"), (5011, "TRY"), (5010, "EUR")])
async def test_what_is_paid_is_reported_as_it_is_and_not_as_it_was_asked_for(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID, amount: int, currency: str
) -> None:
    intent = await opened(gateway, booking_id)
    sandbox.call("POST", f"/_sandbox/intents/{intent.id}/alter", {"amount": amount, "currency": currency})
    await asyncio.to_thread(pay_with, str(intent.action_url), APPROVED)
    assert (await gateway.retrieve(intent.id)).amount == Money(amount=amount, currency=currency)
    captured = await gateway.capture(intent.id, key="capture:1")
    assert (captured.amount, captured.captured) == (Money(amount=amount, currency=currency), amount)


async def test_a_refund_is_found_by_its_key(gateway: IyzicoGateway, booking_id: UUID) -> None:
    intent = await held(gateway, booking_id)
    assert await gateway.retrieve_refund(intent.id, key="refund:1") is None
    await gateway.capture(intent.id, key="capture:1")
    await gateway.refund(intent.id, Money(amount=1005, currency="TRY"), key="refund:1")
    assert await gateway.retrieve_refund(intent.id, key="refund:1") == ProviderRefund(
        state=ProviderRefundState.SUCCEEDED, amount=Money(amount=1005, currency="TRY")
    )
    assert await gateway.retrieve_refund(intent.id, key="refund:2") is None


@pytest.mark.parametrize("step", ["capture", "refund", "look a refund up"])
async def test_a_lookup_refused_by_iyzicos_limit_does_not_count_as_an_unpaid_form(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID, step: str
) -> None:
    """Otherwise a paid booking would fail, and a refund that was made would be made again."""
    intent = await taken(gateway, booking_id)
    await gateway.refund(intent.id, Money(amount=1005, currency="TRY"), key="refund:1")
    sandbox.fault("429", str(booking_id), face="iyzico", operation="retrieve")
    steps: dict[str, Callable[[], Awaitable[object]]] = {
        "capture": lambda: gateway.capture(intent.id, key="capture:1"),
        "refund": lambda: gateway.refund(intent.id, Money(amount=1005, currency="TRY"), key="refund:1"),
        "look a refund up": lambda: gateway.retrieve_refund(intent.id, key="refund:1"),
    }
    with pytest.raises(PaymentUnknown):
        await steps[step]()
    assert refunded(sandbox, booking_id) == 1005


async def test_a_refund_is_not_missing_because_its_payment_is_not_told(
    gateway: IyzicoGateway, booking_id: UUID
) -> None:
    intent = await opened(gateway, booking_id)
    with pytest.raises(PaymentUnknown):
        await gateway.retrieve_refund(intent.id, key="refund:1")


async def test_a_refund_that_the_bank_refuses_is_no_refund(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent = await taken(gateway, booking_id)
    sandbox.fault("decline", str(booking_id), face="iyzico", operation="refund")
    with pytest.raises(PaymentDeclined):
        await gateway.refund(intent.id, PRICE, key="refund:1")
    assert await gateway.retrieve_refund(intent.id, key="refund:1") is None
    assert (await gateway.refund(intent.id, PRICE, key="refund:2")).refunded == PRICE.amount


@pytest.mark.parametrize("kind", ["429", "500_before", "500_after", "reset_before", "reset_after", "timeout_after"])
@pytest.mark.parametrize("operation", ["capture", "cancel", "refund"])
async def test_a_lost_answer_is_unknown_and_repeating_has_the_effect_once(
    gateway: IyzicoGateway,
    impatient: IyzicoGateway,
    sandbox: SandboxProcess,
    booking_id: UUID,
    operation: str,
    kind: str,
) -> None:
    before = held if operation in ("capture", "cancel") else taken
    intent = await before(gateway, booking_id)
    sandbox.fault(kind, str(booking_id), face="iyzico", operation=operation, delay_seconds=2)

    async def effect(by: IyzicoGateway) -> Intent:
        if operation == "refund":
            return await by.refund(intent.id, PRICE, key="r")
        return await (by.capture if operation == "capture" else by.void)(intent.id, key="k")

    with pytest.raises(PaymentUnknown):
        await effect(impatient if kind == "timeout_after" else gateway)
    await effect(gateway)

    movements = {"capture": "capture", "cancel": "void", "refund": "refund"}
    kinds = [entry["kind"] for entry in sandbox.ledger(str(booking_id))["entries"]]
    assert kinds.count(movements[operation]) == 1


async def test_a_lost_create_leaves_a_form_that_is_not_known_here(
    gateway: IyzicoGateway, impatient: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    sandbox.fault("timeout_after", str(booking_id), face="iyzico", operation="create", delay_seconds=2)
    with pytest.raises(PaymentUnknown):
        await opened(impatient, booking_id)
    again = await opened(gateway, booking_id)
    assert [intent["authorized"] for intent in sandbox.intents(str(booking_id))] == [0, 0]
    assert (await gateway.retrieve(again.id)).state is IntentState.ACTION_REQUIRED


async def test_wrong_credentials_are_a_rejection(sandbox: SandboxProcess, booking_id: UUID) -> None:
    gateway = IyzicoGateway(API_KEY, "guessed", base_url=sandbox.url)
    for effect in (opened(gateway, booking_id), gateway.retrieve(str(uuid4()))):
        with pytest.raises(PaymentRejected) as refused:
            await effect
        assert refused.value.code == "1000"
    await gateway.close()


async def test_a_provider_that_is_down_is_unknown(booking_id: UUID) -> None:
    gateway = IyzicoGateway(API_KEY, SECRET_KEY, base_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(PaymentUnknown):
        await opened(gateway, booking_id)
    await gateway.close()


@pytest.mark.parametrize(
    "answer",
    [
        '{"status": "success", "paymentStatus": "SUCCESS", "paymentId": "1", "paidPrice": 50.1, "price": 50.1}',
        '{"status": "failure", "errorCode": "1", "errorMessage": "System error"}',
        '{"status": "failure", "errorCode": 50000, "errorMessage": "Request Limit Exceeded", "locale": "en"}',
        "[]",
        "<html>gateway timeout</html>",
        '{"message": "Forbidden"}',
    ],
)
async def test_an_answer_that_is_not_signed_or_no_answer_at_all_is_not_believed(answer: str) -> None:
    async def say(request: web.Request) -> web.Response:
        return web.Response(text=answer, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", say)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    gateway = IyzicoGateway(API_KEY, SECRET_KEY, base_url=f"http://127.0.0.1:{port}")
    with pytest.raises(PaymentUnknown):
        await gateway.retrieve("token")
    await gateway.close()
    await runner.cleanup()
