"""Exchanges over REST: another seat for a ticket, with the difference paid or given back; idempotent by the key."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status
from fastapi.responses import HTMLResponse
from pydantic import Field, StringConstraints, field_validator
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from adapters.payment.registry import find_provider
from api.auth.guards import PUBLIC, BookingReader, Buyer
from api.auth.tokens import Principal
from api.http.deadlines import promptly
from api.http.idempotency import IdempotencyKey, digest, exchange_id_for, known_or_planned, refuse_other_body
from api.http.problems import documented
from api.http.schemas import RequestModel
from api.http.signals import notify_workflow
from api.reservation import commands
from api.reservation.bookings import AtDesk, Desk, own_booking
from api.reservation.commands import WorkflowClosed
from api.reservation.schemas import PaymentMethod
from config.settings import secret
from db.reservation.bookings import bookings
from db.reservation.exchanges import exchanges, history, plans
from domain.bookings import Booking
from domain.exchanges import Exchange, ExchangeOutcome, ExchangeRequest, ExchangeState, Payment
from domain.problems import ProblemType, Refused
from domain.seats import SeatName
from temporal.start import start_or_attach
from workflows.exchange import ExchangeWorkflow
from workflows.ids import exchange_workflow_id, start_exchange
from workflows.support import problems

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["exchanges"])

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Seatwright</title></head>
<body><h1>Thank you</h1><p>We are asking your bank. You can close this page and go back to the shop.</p></body></html>
"""


class ExchangeBody(RequestModel):
    """Which ticket, for which seat; `provider` and `payment_method` as for a payment, where the new seat costs more."""

    ticket: UUID
    seat: Annotated[str, StringConstraints(max_length=80)] = Field(examples=["A-1-12"])
    provider: Annotated[str, StringConstraints(min_length=1, max_length=40)] | None = None
    payment_method: PaymentMethod | None = None

    @field_validator("seat")
    @classmethod
    def _canonical(cls, seat: str) -> str:
        return str(SeatName.parse(seat))


class _Whole(ExchangeBody):
    """All that makes two requests the same."""

    booking_id: UUID


async def _own(booking_id: UUID, user: Buyer, desk: AtDesk) -> Booking:
    return await own_booking(user, desk, booking_id)


async def _readable(booking_id: UUID, user: BookingReader, desk: AtDesk) -> Booking:
    return await own_booking(user, desk, booking_id, staff=True)


OwnBooking = Annotated[Booking, Depends(_own)]
ReadableBooking = Annotated[Booking, Depends(_readable)]


@router.post(
    "/exchange",
    summary="Exchange a ticket's seat for another",
    responses={
        202: {"description": "The buyer has to act at `next_action.url`; then the exchange goes on by itself."},
        **documented(
            ProblemType.PAYMENT_DECLINED,
            ProblemType.NOT_FOUND,
            ProblemType.WRONG_STATE,
            ProblemType.SEATS_UNAVAILABLE,
            ProblemType.EXCHANGE_NOT_ALLOWED,
            ProblemType.EXCHANGE_IN_PROGRESS,
            ProblemType.EXCHANGE_FAILED,
            ProblemType.REFUND_IN_PROGRESS,
            ProblemType.UNKNOWN_TICKETS,
            ProblemType.UNKNOWN_SEATS,
            ProblemType.UNKNOWN_PROVIDER,
            ProblemType.IDEMPOTENCY_KEY_REUSED,
            ProblemType.OUTCOME_UNKNOWN,
        ),
    },
)
async def exchange(
    body: ExchangeBody, booking: OwnBooking, user: Buyer, desk: AtDesk, response: Response, key: IdempotencyKey
) -> dict[str, Any]:
    """The ticket is valid until the new one is issued; a difference is paid before that, or goes back after it."""
    _check_payment(body, booking)
    request = _request(body, booking, user, desk, key, await promptly(_now(desk)))
    response.headers["Location"] = f"/v1/bookings/{booking.id}/exchanges/{request.id}"
    known = await promptly(_prepare(desk, request))
    if known is None or not (known.is_over or known.state is ExchangeState.ACTION_REQUIRED):
        known = await _carried_out(desk, request)
    return _answer(known, response)


def _check_payment(body: ExchangeBody, booking: Booking) -> None:
    if body.provider:
        provider = find_provider(body.provider)
        provider.check_method(body.payment_method)
        provider.check_currency(booking.currency)
    elif body.payment_method:
        raise Refused(ProblemType.INVALID_REQUEST, "provider: name the payment method's provider.", field="provider")


async def _now(desk: Desk) -> datetime:
    async with desk.engine.connect() as connection:
        return await bookings.now(connection)


def _request(
    body: ExchangeBody, booking: Booking, user: Principal, desk: Desk, key: str, now: datetime
) -> ExchangeRequest:
    id = exchange_id_for(user.user_id, key, secret(desk.settings.booking_id_secret))
    back = f"{desk.settings.api_url}/v1/bookings/{booking.id}/exchanges/{id}/return"
    return ExchangeRequest(
        id=id,
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=user.user_id,
        ticket=body.ticket,
        seat=body.seat,
        payment=Payment(provider=body.provider, payment_method=body.payment_method, return_url=back)
        if body.provider
        else None,
        deadline=now + timedelta(seconds=desk.settings.payment_wait),
        body_sha256=digest(_Whole(booking_id=booking.id, **body.model_dump())),
        window=timedelta(seconds=desk.settings.payment_window),
        attempts=desk.settings.compensation_attempts,
    )


async def _prepare(desk: Desk, request: ExchangeRequest) -> Exchange | None:
    async with desk.engine.connect() as connection:
        return await known_or_planned(lambda: _known(connection, request), lambda: plans.plan(connection, request))


async def _known(connection: AsyncConnection, request: ExchangeRequest) -> Exchange | None:
    known = await exchanges.find(connection, request.id)
    if known:
        refuse_other_body(await history.digest_of(connection, request.id), request.body_sha256)
    return known


async def _carried_out(desk: Desk, request: ExchangeRequest) -> Exchange:
    try:
        outcome = await _order(desk.temporal, request, desk.settings.payment_wait)
    except WorkflowClosed:
        return await _standing(desk, request)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.exchange is None:
        assert outcome.problem is not None
        raise Refused(outcome.problem.type, outcome.problem.detail, **outcome.problem.members)
    return outcome.exchange


async def _order(temporal: Client, request: ExchangeRequest, wait: float) -> ExchangeOutcome:
    """Start the exchange's workflow, or attach to it, and wait until it has something to say."""
    answered = start_or_attach(
        temporal, ExchangeWorkflow.run, request, start_exchange(request), ExchangeWorkflow.answered
    )
    try:
        return await commands.answer(answered, request.booking_id, wait)
    except WorkflowAlreadyStartedError as error:
        raise WorkflowClosed from error


async def _standing(desk: Desk, request: ExchangeRequest) -> Exchange:
    """The exchange as it stands after its workflow has ended."""
    known = await promptly(_prepare(desk, request))
    if known is None:
        raise commands.unknown(request.booking_id)
    return known


def _answer(exchange: Exchange, response: Response) -> dict[str, Any]:
    """What a request came to.

    Raises:
        Refused: It came to nothing, or waits for an operator.
    """
    about = {"booking_id": str(exchange.booking_id), "exchange_id": str(exchange.id)}
    if exchange.problem:
        raise Refused(exchange.problem.type, exchange.problem.detail, **about | exchange.problem.members)
    if exchange.state is ExchangeState.ACTION_REQUIRED:
        response.status_code = status.HTTP_202_ACCEPTED
    elif exchange.state is not ExchangeState.COMPLETED:
        raise Refused(problems.OUTCOME_UNKNOWN.type, problems.OUTCOME_UNKNOWN.detail, **about)
    return exchange.answer()


@router.get("/exchanges", summary="A booking's exchanges, oldest first", responses=documented(ProblemType.NOT_FOUND))
async def look_at_all(booking: ReadableBooking, desk: AtDesk) -> dict[str, Any]:
    """Each with its `state`: `pending`, `action_required`, `committed`, `completed` or `failed`."""
    return {"exchanges": [each.answer() for each in await promptly(exchanges_of(desk, booking.id))]}


@router.get("/exchanges/{exchange_id}", summary="Look at an exchange", responses=documented(ProblemType.NOT_FOUND))
async def look_at_exchange(booking: ReadableBooking, exchange_id: UUID, desk: AtDesk) -> dict[str, Any]:
    """The exchange as it stands now."""
    return (await _one_of(desk, booking.id, exchange_id)).answer()


@router.delete(
    "/exchanges/{exchange_id}",
    summary="Abandon an exchange whose payment waits for you",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.WRONG_STATE, ProblemType.OUTCOME_UNKNOWN),
)
async def abandon_exchange(booking: OwnBooking, exchange_id: UUID, desk: AtDesk) -> dict[str, Any]:
    """Nothing is charged and the ticket stays as it is. Abandoning what has failed already is no error."""
    found = await _one_of(desk, booking.id, exchange_id)
    if not found.is_over:
        handle = desk.temporal.get_workflow_handle(exchange_workflow_id(exchange_id))
        update = handle.execute_update(ExchangeWorkflow.abandon)
        with suppress(WorkflowClosed):  # it has just ended without us
            await commands.answer(update, booking.id, desk.settings.payment_wait)
        found = await _one_of(desk, booking.id, exchange_id)
    if found.state is ExchangeState.COMPLETED:
        raise Refused(ProblemType.WRONG_STATE, "The exchange is completed.", exchange_id=str(exchange_id))
    return found.answer()


@router.get(
    "/exchanges/{exchange_id}/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC],
    summary="Where the provider sends back to",
)
@router.post(
    "/exchanges/{exchange_id}/return",
    response_class=HTMLResponse,
    dependencies=[PUBLIC],
    name="come_back_to_exchange_by_form",
    summary="Likewise, by a form",
)
async def come_back_to_exchange(booking_id: UUID, exchange_id: UUID, desk: AtDesk) -> HTMLResponse:
    """Has the exchange ask the provider at once. Needs no token, tells no secret, believes nothing that it is sent."""
    exchange = await _one_of(desk, booking_id, exchange_id)
    if exchange.state is ExchangeState.ACTION_REQUIRED:
        await notify_workflow(desk.temporal, exchange_workflow_id(exchange_id))
    return HTMLResponse(_PAGE, headers={"Cache-Control": "no-store"})


async def _one_of(desk: Desk, booking_id: UUID, exchange_id: UUID) -> Exchange:
    for exchange in await promptly(exchanges_of(desk, booking_id)):
        if exchange.id == exchange_id:
            return exchange
    raise Refused(ProblemType.NOT_FOUND, "There is no such exchange.")


async def exchanges_of(desk: Desk, booking_id: UUID) -> list[Exchange]:
    async with desk.engine.connect() as connection:
        return await history.of_booking(connection, booking_id)
