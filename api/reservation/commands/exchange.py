"""Exchange a ticket's seat, or abandon an exchange whose payment waits for the buyer."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.payment.registry import PROVIDERS, find_provider
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.idempotency import digest, exchange_id_for, known_or_planned, refuse_other_body
from api.http.sagas import WorkflowClosed, after_order, answer, start_or_attach, unknown
from api.reservation import charge_quota
from api.reservation.answers import Answer, refusal
from api.reservation.booking_saga import about
from api.reservation.buyer_details import BUYER, seal_buyer
from api.reservation.context import ReservationContext
from api.reservation.reads import require_exchange
from api.reservation.schemas import ExchangeBody
from config.settings import secret
from db.reservation.bookings import bookings
from db.reservation.exchanges import exchanges, history, plans
from domain.bookings import Booking
from domain.exchanges import Exchange, ExchangeOutcome, ExchangeRequest, ExchangeState, Payment
from domain.money import Money
from domain.problems import ProblemType, Refused
from domain.providers import check_payable, payable_by
from workflows.exchange import ExchangeWorkflow
from workflows.ids import exchange_workflow_id, start_exchange
from workflows.support.problems import OUTCOME_UNKNOWN


class _Whole(ExchangeBody):
    """All that makes two requests the same."""

    booking_id: UUID


async def exchange(
    context: ReservationContext, buyer: Principal, booking: Booking, body: ExchangeBody, key: str
) -> Answer[dict[str, Any]]:
    """Exchange a seat; a difference is paid before the new ticket is issued, or given back after it.

    Raises:
        Refused: The exchange is not allowed, it failed, or its outcome is not known.
    """
    request = _request(context, buyer, booking, body, key, await with_deadline(_now(context)))
    known = await with_deadline(_prepare(context, request))
    if known is None or not (known.is_over or known.needs_attention or known.state is ExchangeState.ACTION_REQUIRED):
        known = await _charge(context, await _with_buyer(context, buyer, request, body))
    return _answer(known)


async def abandon_exchange(context: ReservationContext, booking_id: UUID, exchange_id: UUID) -> Exchange:
    """End an exchange whose payment waits for the buyer. One that has failed is answered as it is.

    All calls share one command: Temporal refuses every further one, also an operator's, where ten have no answer.

    Raises:
        Refused: There is no such exchange, it is completed, or the outcome is not known.
    """
    found = await require_exchange(context, booking_id, exchange_id)
    if not found.is_over:
        saga = context.temporal.get_workflow_handle(exchange_workflow_id(exchange_id))
        update = saga.execute_update(ExchangeWorkflow.abandon, id="abandon")
        with suppress(WorkflowClosed):  # it has just ended by itself, or it is lost
            await answer(update, about=about(booking_id), wait=context.settings.payment_wait)
        with after_order(about(booking_id)):
            found = await require_exchange(context, booking_id, exchange_id)
    if not found.is_over:
        raise unknown(about(booking_id))  # it waits for an operator, or for workflow recovery
    if found.state is ExchangeState.COMPLETED:
        raise Refused(ProblemType.WRONG_STATE, "The exchange is completed.", exchange_id=str(exchange_id))
    return found


async def _now(context: ReservationContext) -> datetime:
    async with context.engine.connect() as connection:
        return await bookings.now(connection)


def _request(
    context: ReservationContext, buyer: Principal, booking: Booking, body: ExchangeBody, key: str, now: datetime
) -> ExchangeRequest:
    settings = context.settings
    id = exchange_id_for(buyer.user_id, key, secret(settings.booking_id_secret))
    back = f"{settings.api_url}/v1/bookings/{booking.id}/exchanges/{id}/return"
    return ExchangeRequest(
        id=id,
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=buyer.user_id,
        ticket=body.ticket,
        seat=body.seat,
        payment=Payment(provider=body.provider, payment_method=body.payment_method, return_url=back)
        if body.provider
        else None,
        deadline=now + timedelta(seconds=settings.payment_wait),
        body_sha256=digest(_Whole(booking_id=booking.id, **body.model_dump()), without=BUYER),
        window=timedelta(seconds=settings.payment_window),
        attempts=settings.compensation_attempts,
        free_places=settings.free_places,
    )


async def _with_buyer(
    context: ReservationContext, buyer: Principal, request: ExchangeRequest, body: ExchangeBody
) -> ExchangeRequest:
    """The request with what the payment provider's fraud checks get."""
    if request.payment is None:
        return request
    sealed = await seal_buyer(context, buyer, body.provider, body.buyer)
    return request.model_copy(update={"payment": request.payment.model_copy(update={"buyer": sealed})})


async def _prepare(context: ReservationContext, request: ExchangeRequest) -> Exchange | None:
    """The exchange that this key has made already; None where it may be started."""
    async with context.engine.connect() as connection:
        return await known_or_planned(lambda: _known(connection, request), lambda: _plan(connection, request))


async def _plan(connection: AsyncConnection, request: ExchangeRequest) -> None:
    """Refuse what the saga would refuse, and what the chosen provider does not take."""
    check_charge(await plans.plan(connection, request), request.payment)


def check_charge(plan: plans.Plan, payment: Payment | None) -> None:
    """Check that the chosen provider, or one of the event's while none is chosen, takes the difference.

    Raises:
        Refused: It cannot be paid, or not by this method.
    """
    if plan.difference <= 0:
        return
    charge = Money(amount=plan.difference, currency=plan.booking.currency)
    if payment is None:
        check_payable(charge, payable_by(PROVIDERS.values(), plan.providers, charge.currency))
        return
    provider = find_provider(payment.provider)
    provider.check_method(payment.payment_method)
    provider.check_amount(charge)


async def _known(connection: AsyncConnection, request: ExchangeRequest) -> Exchange | None:
    known = await exchanges.find(connection, request.id)
    if known:
        refuse_other_body(await history.digest_of(connection, request.id), request.body_sha256)
    return known


async def _charge(context: ReservationContext, request: ExchangeRequest) -> Exchange:
    """Carry out the exchange; where the buyer names a provider, it counts as a try to charge."""
    payment = request.payment
    if payment is None:
        return await _carry_out(context, request)
    booking_id, id = request.booking_id, str(request.id)
    async with charge_quota.counted(context, booking_id, id, payment.provider, payment.payment_method) as attempt:
        exchange = await _carry_out(context, request)
        attempt.succeeded = exchange.state is ExchangeState.COMPLETED
    return exchange


async def _carry_out(context: ReservationContext, request: ExchangeRequest) -> Exchange:
    try:
        outcome = await _start(context, request)
    except WorkflowClosed:
        return await _current(context, request)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.exchange is None:
        assert outcome.problem is not None
        raise refusal(outcome.problem)
    return outcome.exchange


async def _start(context: ReservationContext, request: ExchangeRequest) -> ExchangeOutcome:
    """Wait until the exchange is refused, needs its buyer, or has ended."""
    return await start_or_attach(
        context.temporal,
        ExchangeWorkflow.run,
        request,
        start_exchange(request),
        ExchangeWorkflow.answered,
        about=about(request.booking_id),
        wait=context.settings.payment_wait,
    )


async def _current(context: ReservationContext, request: ExchangeRequest) -> Exchange:
    """The exchange after its workflow has ended."""
    with after_order(about(request.booking_id)):
        known = await with_deadline(_prepare(context, request))
    if known is None:
        raise unknown(about(request.booking_id))
    return known


def _answer(exchange: Exchange) -> Answer[dict[str, Any]]:
    """What a request came to.

    Raises:
        Refused: It came to nothing, or waits for an operator.
    """
    members = about(exchange.booking_id) | {"exchange_id": str(exchange.id)}
    if exchange.problem:
        raise refusal(exchange.problem, **members)
    if exchange.state is ExchangeState.ACTION_REQUIRED and not exchange.needs_attention:
        return Answer(exchange.answer(), HTTPStatus.ACCEPTED)
    if exchange.state is not ExchangeState.COMPLETED:
        raise refusal(OUTCOME_UNKNOWN, **members)
    return Answer(exchange.answer())
