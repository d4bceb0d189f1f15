"""What iyzico has not decided yet, through our gateway: a refund that it goes on trying, a payment under review."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import pytest
from temporalio.exceptions import ApplicationError

from activities.payment.amounts import check_refund
from adapters.payment.iyzico.gateway import IyzicoGateway
from domain.money import Money
from domain.payments import Intent, IntentState, PaymentRejected, PaymentUnknown, ProviderRefund, ProviderRefundState
from sandbox.testing import SandboxProcess
from tests.adapters.test_iyzico_gateway import PRICE, booking_id, gateway, held, sandbox, taken
from tests.waiting import eventually

__all__ = ["booking_id", "gateway", "sandbox"]  # fixtures


@pytest.mark.parametrize(
    ("outcome", "state", "refunded"),
    [("succeeded", ProviderRefundState.SUCCEEDED, PRICE.amount), ("failed", ProviderRefundState.FAILED, 0)],
)
async def test_a_refund_that_stays_pending_is_no_error_and_counts_when_it_is_done(
    gateway: IyzicoGateway,
    sandbox: SandboxProcess,
    booking_id: UUID,
    outcome: str,
    state: ProviderRefundState,
    refunded: int,
) -> None:
    intent, key = await taken(gateway, booking_id), f"{booking_id}:refund:1"
    sandbox.fault("processing", str(booking_id), face="iyzico", operation="refund")

    assert (await gateway.refund(intent.id, PRICE, key=key)).refunded == 0
    assert await gateway.retrieve_refund(intent.id, key=key) == ProviderRefund(
        state=ProviderRefundState.PENDING, amount=PRICE
    )
    await gateway.refund(intent.id, PRICE, key=key)
    assert len(sandbox.requests(str(booking_id), "refund")) == 1

    [refund] = sandbox.call("GET", f"/_sandbox/intents/{intent.id}/refunds")["refunds"]
    sandbox.call("POST", f"/_sandbox/refunds/{refund['id']}/settle", {"outcome": outcome})
    assert await gateway.retrieve_refund(intent.id, key=key) == ProviderRefund(state=state, amount=PRICE)
    assert (await gateway.retrieve(intent.id)).refunded == refunded


async def test_a_payment_under_review_that_cannot_be_cancelled_yet_is_told_apart_from_a_doubt(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    """As a doubt it would be asked about again and again, and its booking's seats would wait for the review."""
    sandbox.fault("processing", str(booking_id), face="iyzico", operation="confirm")
    intent = await held(gateway, booking_id)
    assert intent.state is IntentState.PROCESSING
    with pytest.raises(PaymentRejected) as refused:
        await gateway.void(intent.id, key=f"{booking_id}:void:1")
    assert refused.value.code == "payment_in_review"


async def twice(
    sandbox: SandboxProcess, booking_id: UUID, operation: str, ask: Callable[[], Awaitable[Intent]]
) -> None:
    """Ask while the same request still runs, and wait for the end of both."""
    sandbox.fault("slow", str(booking_id), face="iyzico", operation=operation, delay_seconds=1)
    slow = asyncio.ensure_future(ask())
    await eventually(lambda: len(sandbox.call("GET", "/_sandbox/faults")["faults"]) == 0, every=0.01)
    await ask()
    with suppress(PaymentUnknown, PaymentRejected):
        await slow


@pytest.mark.parametrize(("operation", "effect"), [("capture", "capture"), ("cancel", "void"), ("refund", "refund")])
async def test_what_takes_or_returns_all_of_the_money_happens_once_also_at_the_same_time(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID, operation: str, effect: str
) -> None:
    """iyzico refuses the second by itself, so that these need no quiet time."""
    intent = await (taken if operation == "refund" else held)(gateway, booking_id)

    async def ask() -> Intent:
        if operation == "refund":
            return await gateway.refund(intent.id, PRICE, key="k")
        return await (gateway.capture if operation == "capture" else gateway.void)(intent.id, key="k")

    await twice(sandbox, booking_id, operation, ask)
    assert len(sandbox.requests(str(booking_id), operation)) == 2
    kinds = [entry["kind"] for entry in sandbox.ledger(str(booking_id))["entries"]]
    assert kinds.count(effect) == 1


async def test_a_part_that_went_back_twice_under_one_key_differs_from_what_is_owed(
    gateway: IyzicoGateway, sandbox: SandboxProcess, booking_id: UUID
) -> None:
    intent, part = await taken(gateway, booking_id), Money(amount=1005, currency=PRICE.currency)
    await twice(sandbox, booking_id, "refund", lambda: gateway.refund(intent.id, part, key="k"))
    given = await gateway.retrieve_refund(intent.id, key="k")
    assert given == ProviderRefund(state=ProviderRefundState.SUCCEEDED, amount=part + part)
    with pytest.raises(ApplicationError, match=r"TRY 20\.10 .* owed are TRY 10\.05"):
        check_refund("iyzico", intent.id, part, given)
