"""What iyzico has not decided yet, through our gateway: a refund that it goes on trying, a payment under review."""

from __future__ import annotations

from uuid import UUID

import pytest

from adapters.payment.iyzico.gateway import IyzicoGateway
from domain.payments import IntentState, PaymentRejected, ProviderRefund, ProviderRefundState
from sandbox.testing import SandboxProcess
from tests.adapters.test_iyzico_gateway import PRICE, booking_id, gateway, held, sandbox, taken

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
