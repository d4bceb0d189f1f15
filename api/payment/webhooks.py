"""Webhooks of the payment providers: verified, stored, handed on, and only then acknowledged.

What a message says is never trusted: it only makes the waiting workflow ask the provider. So a repetition, a delay or
another order does no harm, and a lost message costs some time. The answer is 2xx once a message is stored and handed
on; otherwise the provider repeats it. A signed message that is not understood is stored, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.payment.registry import open_webhook_verifiers
from api.auth.guards import PUBLIC
from api.edge.rate_counters import LocalCounter
from api.edge.rate_limits import address_of
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.query_guard import ANY_QUERY
from api.http.resources import Open, PaymentDatabase, Resources
from api.http.sagas import notify_workflow
from config.settings import Settings
from db.engine import autocommit
from db.payment import late_payments, webhooks
from db.payment.attempts import Attempt, AttemptState
from db.payment.webhooks import WebhookAction, WebhookDecision
from domain.payment_gateway import WebhookVerifier
from domain.payments import LatePayment, NotificationKind, NotificationRefused, ProviderNotification
from domain.problems import ProblemType, Refused
from temporal.policies import booking_policy
from workflows.ids import (
    booking_workflow_id,
    exchange_workflow_id,
    refund_workflow_id,
    start_late_payment,
    start_provider_refunds,
    start_refund_taken_back,
)
from workflows.late_payment import LatePaymentWorkflow
from workflows.provider_refunds import ProviderRefunds
from workflows.refund_taken_back import RefundTakenBack

router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"], dependencies=[PUBLIC, ANY_QUERY])

_FORGERIES: Final = (60, 60)  # refused messages of an address, and seconds in which there may be so many


class Received(BaseModel):
    """The messages of a notification are stored and handed on."""

    received: int = Field(description="How many messages it had.")


def verifiers(settings: Settings) -> Mapping[str, WebhookVerifier]:
    """What proves the messages of each provider.

    Raises:
        ValueError: A provider's variable is missing or wrong.
    """
    return open_webhook_verifiers(settings.provider_variables, settings.development_sandbox)


def forgeries(settings: Settings) -> LocalCounter | None:
    """Counts refused messages by their addresses, in this process; None where the settings have no limits."""
    return LocalCounter(*_FORGERIES) if settings.rate_limits else None


@contextmanager
def _counted_if_refused(request: Request) -> Iterator[None]:
    """Count a message that is refused.

    Raises:
        Refused: RATE_LIMITED: Too many messages of this address were. INVALID_SIGNATURE: This one is.
    """
    counter: LocalCounter | None = request.app.state.webhook_forgeries
    address = address_of(request.scope)
    if counter and (so_far := counter.spend(address, amount=0)).left <= 0:
        detail = "Too many messages from this address were refused. Wait, then send the message again."
        raise Refused(ProblemType.RATE_LIMITED, detail, retry_after=so_far.resets_in)
    try:
        yield
    except NotificationRefused as refusal:
        if counter:
            counter.spend(address)
        raise Refused(ProblemType.INVALID_SIGNATURE, f"The message is refused: {refusal}.") from refusal


async def _verifier(provider: str, request: Request) -> WebhookVerifier:
    known: Mapping[str, WebhookVerifier] = request.app.state.webhook_verifiers
    if provider not in known:
        raise Refused(ProblemType.NOT_FOUND, "There is no such provider.")
    return known[provider]


@router.post(
    "/{provider}",
    name="receive_webhook",
    summary="Receive a payment provider's notification",
    responses=documented(
        ProblemType.INVALID_SIGNATURE, ProblemType.NOT_FOUND, ProblemType.RATE_LIMITED, ProblemType.UNAVAILABLE
    ),
)
async def receive(
    request: Request, verifier: Annotated[WebhookVerifier, Depends(_verifier)], opened: Open, engine: PaymentDatabase
) -> Received:
    """For payment providers only. A repeated message does no harm, and is processed again."""
    with _counted_if_refused(request):
        messages = verifier.verify(await request.body(), request.headers)
        for news in messages:
            await _take(news, opened, engine)
    return Received(received=len(messages))


async def _take(news: ProviderNotification, opened: Resources, engine: AsyncEngine) -> None:
    course, attempt, refunds, given = await with_deadline(_received(engine, news))
    for refund_id in refunds:
        await notify_workflow(opened.part(Client), refund_workflow_id(refund_id))
    for refund_id in given:
        await with_deadline(_check_again(opened, refund_id))
    paid = _to_check(news, attempt)
    if paid:
        await with_deadline(_check_provider_refunds(opened, paid))
    if attempt is None or course in (WebhookAction.IGNORED, WebhookAction.REFUND):
        return
    if course is WebhookAction.SAGA:
        if await notify_workflow(opened.part(Client), _waiting_for(attempt)) or news.kind not in webhooks.MONEY:
            return
        # Its saga has ended and left the attempt open.
        await with_deadline(_watch(engine, attempt))
    await with_deadline(_handle_late_payment(opened, attempt))


async def _received(engine: AsyncEngine, news: ProviderNotification) -> WebhookDecision:
    async with autocommit(engine) as connection:
        return await webhooks.receive(connection, news)


async def _watch(engine: AsyncEngine, attempt: Attempt) -> None:
    async with autocommit(engine) as connection:
        await late_payments.watch(connection, attempt)


def _waiting_for(attempt: Attempt) -> str:
    """The saga that waits for the attempt's buyer."""
    return exchange_workflow_id(attempt.exchange_id) if attempt.exchange_id else booking_workflow_id(attempt.booking_id)


async def _check_again(opened: Resources, refund_id: UUID) -> None:
    """Have a workflow find out whether a refund has failed after it succeeded; the one that runs asks again."""
    await opened.part(Client).start_workflow(
        RefundTakenBack.run, refund_id, start_signal="provider_has_news", **start_refund_taken_back(refund_id)
    )


def _to_check(news: ProviderNotification, attempt: Attempt | None) -> UUID | None:
    """The booking whose money the provider may have given back without our request."""
    if news.kind is not NotificationKind.REFUND:
        return None
    if attempt is None:
        return news.booking_id
    return attempt.booking_id if attempt.state is AttemptState.CAPTURED else None


async def _check_provider_refunds(opened: Resources, booking_id: UUID) -> None:
    """Have a workflow find out what the provider has given back; the one that runs asks again."""
    await opened.part(Client).start_workflow(
        ProviderRefunds.run, booking_id, start_signal="provider_has_news", **start_provider_refunds(booking_id)
    )


async def _handle_late_payment(opened: Resources, attempt: Attempt) -> None:
    """Start the late payment's saga, or notify the one that runs."""
    assert attempt.intent_id is not None
    late = LatePayment(
        provider=attempt.provider,
        intent_id=attempt.intent_id,
        booking_id=attempt.booking_id,
        exchange_id=attempt.exchange_id,
        policy=booking_policy(opened.settings),
    )
    await opened.part(Client).start_workflow(
        LatePaymentWorkflow.run, late, start_signal="provider_has_news", **start_late_payment(late)
    )
