"""Bookings over REST: hold, pay, cancel, look; idempotent by the caller's key, whatever happens on the way."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response, status
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.payment.registry import find_provider
from adapters.redis.hold_quota import Hoarding
from adapters.redis.seat_locks import ColdEvent, Places, SeatLocks
from api.auth.audit import Trail
from api.auth.guards import BookingReader, Buyer
from api.auth.tokens import Principal
from api.http.deadlines import promptly
from api.http.idempotency import IdempotencyKey, booking_id_for, digest, refuse_other_body, update_id
from api.http.problems import KINDS, documented
from api.http.resources import Open, ReservationDatabase
from api.reservation import commands
from api.reservation.commands import WorkflowClosed
from api.reservation.hold_quota import counted
from api.reservation.replays import Repeated, find_repeated
from api.reservation.schemas import BookingBody, PaymentBody
from config.settings import Settings, secret
from db.engine import autocommit
from db.reservation import offers
from db.reservation.bookings import bookings, history
from domain.bookings import (
    ENDED,
    PAID,
    Booking,
    BookingRequest,
    BookingStatus,
    CancelOutcome,
    PaymentCommand,
    PaymentOutcome,
)
from domain.identity import Role
from domain.problems import Problem, ProblemType, Refused
from domain.providers import check_admitted
from temporal.policies import booking_policy
from workflows.support import problems

router = APIRouter(prefix="/v1", tags=["bookings"])

_STAFF = {Role.SUPPORT, Role.OPERATOR}


class Desk(NamedTuple):
    """What the booking routes work with."""

    settings: Settings
    engine: AsyncEngine
    locks: SeatLocks
    hoarding: Hoarding
    temporal: Client
    trail: Trail


async def _desk(request: Request, opened: Open, engine: ReservationDatabase) -> Desk:
    trail = Trail(opened.audit_trail, request)
    return Desk(opened.settings, engine, opened.locks, opened.hoarding, opened.temporal, trail)


_QUEUED_AT_MOST = timedelta(seconds=20)  # a hold that comes later than this after its caller has left is not made

AtDesk = Annotated[Desk, Depends(_desk)]


@router.post(
    "/bookings",
    status_code=status.HTTP_201_CREATED,
    summary="Hold seats",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.SEATS_UNAVAILABLE,
        ProblemType.EVENT_NOT_ON_SALE,
        ProblemType.UNKNOWN_SEATS,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
        ProblemType.TOO_MANY_HOLDS,
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def hold(body: BookingBody, user: Buyer, desk: AtDesk, response: Response, key: IdempotencyKey) -> Booking:
    """Hold all the places, or none (409 names those that others have)."""
    booking_id_ = booking_id_for(user.user_id, key, secret(desk.settings.booking_id_secret))
    response.headers["Location"] = f"/v1/bookings/{booking_id_}"
    found = await promptly(_prepare(desk, body, user, booking_id_))
    if isinstance(found, BookingRequest):
        async with counted(desk.hoarding, desk.engine, found):
            return await _hold(desk, found)
    if found.may_be_forsaken:
        return await _hold(desk, found.request, again=True)
    return _as_first_answered(found.booking)


async def _prepare(desk: Desk, body: BookingBody, user: Principal, booking_id_: UUID) -> Repeated | BookingRequest:
    """What this key has made already, or else the request to hand in."""
    sha256, policy = digest(body), booking_policy(desk.settings)
    async with autocommit(desk.engine) as connection:
        known = await find_repeated(connection, booking_id_, policy)
        if known:
            refuse_other_body(known.request.body_sha256, sha256)
            return known
        sale = await offers.find_sale(connection, body.event_id)
    offers.price_of(sale.sections, body.seats, body.quantities)
    request = BookingRequest(
        id=booking_id_,
        user_id=user.user_id,
        event_id=body.event_id,
        seats=tuple(body.seats),
        quantities=body.quantities,
        body_sha256=sha256,
        accept_alternatives=body.accept_alternatives,
        hold_seconds=sale.hold_seconds,
        not_after=sale.now + timedelta(seconds=desk.settings.hold_wait) + _QUEUED_AT_MOST,
        policy=policy,
    )
    await _turn_away_early(desk, request)
    return request


async def _turn_away_early(desk: Desk, request: BookingRequest) -> None:
    """Refuse what is taken already without starting a workflow."""
    try:
        taken = await desk.locks.peek(Places(request.event_id, request.id, request.seats, request.quantities))
    except ColdEvent:
        return
    if taken:
        raise bookings.seats_unavailable(taken)


async def _hold(desk: Desk, request: BookingRequest, *, again: bool = False) -> Booking:
    try:
        outcome = await commands.hold(desk.temporal, request, wait=desk.settings.hold_wait, again=again)
    except WorkflowClosed:
        return _as_first_answered(await standing(desk, request.id))
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.booking is None:
        assert outcome.problem is not None
        raise Refused(outcome.problem.type, outcome.problem.detail, **outcome.problem.members)
    return _as_first_answered(outcome.booking)


def _as_first_answered(booking: Booking) -> Booking:
    """A repeated call gets the first answer again; `GET` tells how the booking stands now."""
    return booking.model_copy(update={"status": BookingStatus.HELD, "version": 1, "tickets": ()})


@router.post(
    "/bookings/{booking_id}/payment",
    summary="Pay for a booking",
    responses={
        202: {"description": "The buyer has to act at `next_action.url`; then the booking goes on by itself."},
        **documented(
            ProblemType.PAYMENT_DECLINED,
            ProblemType.NOT_FOUND,
            ProblemType.PAYMENT_IN_PROGRESS,
            ProblemType.UNKNOWN_PROVIDER,
            ProblemType.OUTCOME_UNKNOWN,
        ),
    },
)
async def pay(
    booking_id: UUID, body: PaymentBody, user: Buyer, desk: AtDesk, response: Response, key: IdempotencyKey
) -> dict[str, Any]:
    """Pay once, however often this is called with the same key; a decline (402) keeps the seats for another try."""
    find_provider(body.provider).check_method(body.payment_method)
    now, order = await promptly(_time_of_order(user, desk, booking_id, body.provider)), update_id("pay", key)
    command = PaymentCommand(
        provider=body.provider,
        payment_method=body.payment_method,
        return_url=f"{desk.settings.api_url}/v1/bookings/{booking_id}/payment/return",
        deadline=now + timedelta(seconds=desk.settings.payment_wait),
        body_sha256=digest(body),
    )
    try:
        outcome = await commands.pay(desk.temporal, booking_id, command, key=order, wait=desk.settings.payment_wait)
    except WorkflowClosed as closed:
        booking = await standing(desk, booking_id)
        if closed.after_order and booking.status in PAID:
            return booking.model_dump()
        raise over(booking) from None
    refuse_other_body(outcome.body_sha256, command.body_sha256)
    try:
        answer = await _payment_answer(desk, booking_id, outcome, response)
    except _CameToNothing as nothing:
        raise nothing.because(await commands.why_not_paid(desk.temporal, booking_id, order)) from None
    if answer["status"] in PAID:
        await desk.hoarding.forget(user.user_id, answer["event_id"], booking_id)
    return answer


async def _time_of_order(user: Principal, desk: Desk, booking_id: UUID, provider: str) -> datetime:
    async with autocommit(desk.engine) as connection:
        found = await bookings.find_to_be_paid(connection, booking_id)
    booking = _own(user, found.booking if found else None)
    assert found is not None
    find_provider(provider).check_currency(booking.currency)
    check_admitted(provider, found.providers)
    return found.now


class _CameToNothing(Exception):
    """An order that was answered while it was under way; its saga remembers why, and `otherwise` says what we know."""

    def __init__(self, booking: Booking, otherwise: Refused) -> None:
        self._booking = booking
        self._otherwise = otherwise

    def because(self, why: Problem | None) -> Refused:
        if why is None:
            return self._otherwise
        members = {"booking_status": self._booking.status} | why.members
        return _refused(why.model_copy(update={"members": members}), self._booking.id)


async def _payment_answer(desk: Desk, booking_id: UUID, outcome: PaymentOutcome, response: Response) -> dict[str, Any]:
    """What a payment came to; an order that was answered while it was still going on is answered by where it is now."""
    if _is_preliminary(outcome):
        booking = await standing(desk, booking_id)
        if booking.status not in PAID:
            response.status_code = status.HTTP_202_ACCEPTED
            return _under_way(outcome, booking)
        return booking.model_dump()
    if outcome.problem:
        raise _refused(outcome.problem, booking_id)
    assert outcome.booking is not None
    return outcome.booking.model_dump()


def _is_preliminary(outcome: PaymentOutcome) -> bool:
    """Whether the order could still come to something else when Temporal began to remember this outcome."""
    if outcome.problem:
        return KINDS[outcome.problem.type].status == 503
    return outcome.booking is not None and outcome.booking.status is BookingStatus.ACTION_REQUIRED


def _under_way(outcome: PaymentOutcome, booking: Booking) -> dict[str, Any]:
    """The answer while the buyer acts, or has acted.

    Raises:
        Refused: The booking waits for an operator.
        _CameToNothing: The booking has ended, or is held again.
    """
    if booking.status in ENDED:
        raise _CameToNothing(booking, _ended_unpaid(booking))
    if booking.status is BookingStatus.HELD or _is_of_another_order(outcome, booking):
        raise _CameToNothing(booking, _refused(_NOT_COMPLETED, booking.id))
    # A saga is parked before its row says so.
    if booking.status is BookingStatus.NEEDS_ATTENTION or outcome.problem:
        raise _refused(problems.OUTCOME_UNKNOWN, booking.id)
    acting = booking.status is BookingStatus.ACTION_REQUIRED
    action = {"type": "redirect_to_url", "url": outcome.action_url} if acting and outcome.action_url else None
    return booking.model_dump() | {"next_action": action}


def _ended_unpaid(booking: Booking) -> Refused:
    if booking.status is BookingStatus.FAILED:
        return _because(booking, ProblemType.BOOKING_FAILED, problems.UNDONE.detail)
    return over(booking)


_NOT_COMPLETED = Problem(
    type=ProblemType.WRONG_STATE, detail="The payment was not completed; order it again with a new key."
)


def _is_of_another_order(outcome: PaymentOutcome, booking: Booking) -> bool:
    """Whether the booking has gone on to a later order than the one whose buyer had to act."""
    if outcome.booking is None or booking.status is BookingStatus.NEEDS_ATTENTION:
        return False
    steps = {BookingStatus.ACTION_REQUIRED: 0, BookingStatus.PAYING: 1}[booking.status]
    return booking.version > outcome.booking.version + steps


@router.get("/bookings/{booking_id}", summary="Look at a booking", responses=documented(ProblemType.NOT_FOUND))
async def look(booking_id: UUID, user: BookingReader, desk: AtDesk) -> Booking:
    """The booking as it stands now."""
    return await own_booking(user, desk, booking_id, staff=True)


@router.delete(
    "/bookings/{booking_id}",
    summary="Cancel a booking that is not paid",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.REFUND_REQUIRED, ProblemType.WRONG_STATE),
)
async def cancel(booking_id: UUID, user: Buyer, desk: AtDesk) -> Booking:
    """Let go of the seats; a payment in flight is waited for and undone. Cancelling twice is no error."""
    booking = await own_booking(user, desk, booking_id)
    if booking.status is BookingStatus.CANCELLED:
        return booking
    await promptly(_ask_to_cancel(desk, booking_id))
    try:
        outcome = await commands.cancel(desk.temporal, booking_id, wait=desk.settings.payment_wait)
    except WorkflowClosed:
        outcome = CancelOutcome()
    except Refused as refusal:
        if refusal.problem.type is not ProblemType.WRONG_STATE:
            raise
        outcome = CancelOutcome()
    # Temporal remembers the first answer, which may have been given while the saga waited for an operator.
    cancelled = outcome.booking or _cancelled(await standing(desk, booking_id))
    await desk.hoarding.let_go(user.user_id, booking.event_id, booking_id)
    return cancelled


async def _ask_to_cancel(desk: Desk, booking_id: UUID) -> None:
    async with autocommit(desk.engine) as connection:
        await bookings.ask_to_cancel(connection, booking_id)


def _cancelled(booking: Booking) -> Booking:
    if booking.status is BookingStatus.CANCELLED:
        return booking
    if booking.status is BookingStatus.NEEDS_ATTENTION:
        raise _because(booking, ProblemType.WRONG_STATE, "The booking waits for our support.")
    raise over(booking)


@router.get("/me/bookings", summary="My bookings, newest first")
async def mine(user: BookingReader, desk: AtDesk, cursor: UUID | None = None) -> dict[str, Any]:
    """Pages of 50; `next_cursor` leads to the next one."""
    page = await promptly(_page(user, desk, cursor))
    return {"bookings": page, "next_cursor": page[-1].id if len(page) == 50 else None}


async def _page(user: Principal, desk: Desk, cursor: UUID | None) -> list[Booking]:
    async with desk.engine.connect() as connection:
        return await history.of_user(connection, user.user_id, after=cursor, limit=50)


async def find_booking(desk: Desk, booking_id: UUID) -> Booking | None:
    """The booking as it stands now, whoever's it is.

    Raises:
        TimeoutError: The database does not answer.
    """
    return await promptly(_find(desk, booking_id))


async def _find(desk: Desk, booking_id: UUID) -> Booking | None:
    async with autocommit(desk.engine) as connection:
        return await bookings.find(connection, booking_id)


async def standing(desk: Desk, booking_id: UUID) -> Booking:
    """The booking as it stands after something was ordered; where that cannot be seen, the outcome is unknown."""
    try:
        booking = await find_booking(desk, booking_id)
    except (OSError, SQLAlchemyError) as error:
        raise commands.unknown(booking_id) from error
    if booking is None:
        raise commands.unknown(booking_id)
    return booking


async def own_booking(user: Principal, desk: Desk, booking_id: UUID, *, staff: bool = False) -> Booking:
    """The user's own booking; another's is as if it did not exist, but for staff where it may look and is noted."""
    booking = _own(user, await find_booking(desk, booking_id), staff=staff)
    if booking.user_id != user.user_id:
        await desk.trail.note(user, "booking.looked-at", f"booking/{booking_id}")
    return booking


def _own(user: Principal, booking: Booking | None, *, staff: bool = False) -> Booking:
    if booking is None or not (booking.user_id == user.user_id or (staff and user.roles & _STAFF)):
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    return booking


def over(booking: Booking) -> Refused:
    """Why nothing can be ordered for a booking whose workflow takes no orders any more."""
    if booking.status in PAID - {BookingStatus.REFUNDED}:
        return _because(booking, ProblemType.REFUND_REQUIRED, "The booking is paid: ask for a refund instead.")
    if booking.status in ENDED | {BookingStatus.REFUNDED}:
        return _because(booking, ProblemType.WRONG_STATE, f"The booking is {booking.status}.")
    # Its workflow is gone before its end, and will be revived.
    return commands.unknown(booking.id)


def _because(booking: Booking, type: ProblemType, detail: str) -> Refused:
    return Refused(type, detail, booking_id=str(booking.id), booking_status=booking.status)


def _refused(problem: Problem, booking_id: UUID) -> Refused:
    return Refused(problem.type, problem.detail, **{"booking_id": str(booking_id)} | problem.members)
