"""Refunds over REST: give tickets back, by the event's policy or, for staff, beyond it; idempotent by the key."""

from __future__ import annotations

import re
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncConnection
from temporalio.client import Client
from temporalio.exceptions import WorkflowAlreadyStartedError

from api.auth.guards import BookingReader, Buyer
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.idempotency import IdempotencyKey, digest, known_or_planned, refund_id_for, refuse_other_body
from api.http.problems import documented
from api.http.schemas import RequestModel, ShortText
from api.reservation import commands
from api.reservation.bookings import Reservation, ReservationContext, own_booking
from api.reservation.commands import WorkflowClosed
from config.settings import secret
from db.reservation.refunds import refunds
from domain.bookings import Booking
from domain.identity import Role
from domain.problems import ProblemType, Refused
from domain.refunds import Refund, RefundCause, RefundOutcome, RefundRequest
from domain.seats import MAX_PLACES
from temporal.start import start_or_attach
from workflows.ids import start_refund
from workflows.refund import RefundWorkflow

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["bookings"])

_STAFF = {Role.SUPPORT, Role.OPERATOR}


def _no_card_number(reason: str) -> str:
    if re.search(r"[0-9]([ _-]?[0-9]){11}", reason):
        raise PydanticCustomError("reason", "must not contain a card number")
    return reason


class RefundBody(RequestModel):
    """What to give back: some tickets, or all that are valid where none are named."""

    reason: Annotated[ShortText, AfterValidator(_no_card_number)] = Field(examples=["We cannot come."])
    tickets: list[UUID] = Field(default=[], max_length=MAX_PLACES)
    waive_policy: bool = Field(
        default=False, strict=True, description="Support and operators: in full and at any time, whatever the policy."
    )


class _Whole(RequestModel):
    """All that makes two requests the same."""

    booking_id: UUID
    reason: str
    tickets: tuple[UUID, ...]
    waive_policy: bool


async def _booking(booking_id: UUID, user: BookingReader, context: Reservation) -> Booking:
    return await own_booking(user, context, booking_id, staff=True)


TheBooking = Annotated[Booking, Depends(_booking)]


@router.post(
    "/refund",
    status_code=status.HTTP_202_ACCEPTED,
    summary="Give tickets back",
    responses=documented(
        ProblemType.NOT_FOUND,
        ProblemType.FORBIDDEN,
        ProblemType.WRONG_STATE,
        ProblemType.REFUND_NOT_ALLOWED,
        ProblemType.REFUND_IN_PROGRESS,
        ProblemType.UNKNOWN_TICKETS,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def refund(
    body: RefundBody, user: Buyer, booking: TheBooking, context: Reservation, response: Response, key: IdempotencyKey
) -> Refund:
    """The tickets are void at once and their places on sale again; the money follows: watch `state`, or the booking."""
    response.headers["Location"] = f"/v1/bookings/{booking.id}/refunds"
    request = _request(body, booking, user, context, key)
    known = await with_deadline(_prepare(context, request))
    if known:
        return known
    if request.cause is RefundCause.STAFF:
        await context.recorder.record(user, "refund.ordered", f"booking/{booking.id}")
    try:
        outcome = await _order(context.temporal, request, context.settings.payment_wait)
    except WorkflowClosed:
        return await _standing(context, request)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.refund is None:
        assert outcome.problem is not None
        raise Refused(outcome.problem.type, outcome.problem.detail, **outcome.problem.members)
    return outcome.refund


def _request(
    body: RefundBody, booking: Booking, user: Principal, context: ReservationContext, key: str
) -> RefundRequest:
    is_staff = bool(user.roles & _STAFF)
    if body.waive_policy and not is_staff:
        raise Refused(ProblemType.FORBIDDEN, "Only support and operators may waive an event's policy.")
    tickets = tuple(sorted(set(body.tickets)))
    whole = _Whole(booking_id=booking.id, reason=body.reason, tickets=tickets, waive_policy=body.waive_policy)
    return RefundRequest(
        id=refund_id_for(user.user_id, key, secret(context.settings.booking_id_secret)),
        booking_id=booking.id,
        event_id=booking.event_id,
        requested_by=user.user_id,
        cause=RefundCause.BUYER if booking.user_id == user.user_id else RefundCause.STAFF,
        reason=body.reason,
        tickets=tickets,
        waives_policy=body.waive_policy,
        body_sha256=digest(whole),
        attempts=context.settings.compensation_attempts,
    )


async def _prepare(context: ReservationContext, request: RefundRequest) -> Refund | None:
    async with context.engine.connect() as connection:
        return await known_or_planned(lambda: _known(connection, request), lambda: refunds.plan(connection, request))


async def _known(connection: AsyncConnection, request: RefundRequest) -> Refund | None:
    known = await refunds.find(connection, request.id)
    if known:
        refuse_other_body(await refunds.digest_of(connection, request.id), request.body_sha256)
    return known


async def _order(temporal: Client, request: RefundRequest, wait: float) -> RefundOutcome:
    """Start the refund's workflow, or attach to it, and wait until it is accepted or refused."""
    accepted = start_or_attach(temporal, RefundWorkflow.run, request, start_refund(request), RefundWorkflow.accepted)
    try:
        return await commands.answer(accepted, request.booking_id, wait)
    except WorkflowAlreadyStartedError as error:
        raise WorkflowClosed from error


async def _standing(context: ReservationContext, request: RefundRequest) -> Refund:
    """The refund as it stands after its workflow has ended."""
    known = await with_deadline(_prepare(context, request))
    if known is None:
        raise commands.unknown(request.booking_id)
    return known


@router.get(
    "/refunds",
    name="refunds",
    summary="A booking's refunds, oldest first",
    responses=documented(ProblemType.NOT_FOUND),
)
async def look(booking: TheBooking, context: Reservation) -> dict[str, Any]:
    """Each with its state: `pending`, `needs_attention` or `succeeded`."""
    return {"refunds": await with_deadline(refunds_of(context, booking.id))}


async def refunds_of(context: ReservationContext, booking_id: UUID) -> list[Refund]:
    async with context.engine.connect() as connection:
        return await refunds.of_booking(connection, booking_id)
