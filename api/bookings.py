"""Bookings over REST: hold, pay, cancel, look; idempotent by the caller's key, whatever happens on the way."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import APIRouter, Depends, Response, status
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client

from adapters.seat_locks import ColdEvent, Places, SeatLocks
from api import booking_commands as commands
from api.booking_commands import WorkflowClosed
from api.idempotency import IdempotencyKey, booking_id_for, digest, refuse_other_body, update_id
from api.problems import documented
from api.resources import Open, ReservationDatabase
from api.security import Caller, Principal
from config.settings import Settings, secret
from db.reservation import bookings
from domain.bookings import Booking, BookingPolicy, BookingRequest, BookingStatus, PaymentCommand, PaymentOutcome
from domain.identity import Role
from domain.problems import Problem, ProblemType, Refused
from domain.seats import MAX_PLACES, SeatName

router = APIRouter(prefix="/v1", tags=["bookings"])

PROVIDERS = ("stripe",)
_STAFF = {Role.SUPPORT, Role.OPERATOR}


class Desk(NamedTuple):
    """What the booking routes work with."""

    settings: Settings
    engine: AsyncEngine
    locks: SeatLocks
    temporal: Client


def _desk(opened: Open, engine: ReservationDatabase) -> Desk:
    return Desk(opened.settings, engine, SeatLocks(opened.redis), opened.temporal)


AtDesk = Annotated[Desk, Depends(_desk)]


class BookingBody(BaseModel):
    """What to hold: named seats, and places of general-admission sections by their number; 1 to 50 together."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"event_id": "…", "seats": ["A-1-12"], "quantities": {"Standing": 2}}]},
    )

    event_id: UUID
    seats: list[Annotated[str, StringConstraints(max_length=80)]] = Field(default=[], max_length=MAX_PLACES)
    quantities: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=60)], Annotated[int, Field(ge=1, le=MAX_PLACES)]
    ] = Field(default={}, max_length=MAX_PLACES)

    @field_validator("seats")
    @classmethod
    def _canonical(cls, seats: list[str]) -> list[str]:
        doubled = sorted({name for name in seats if seats.count(name) > 1})
        if doubled:
            raise ValueError(f"named twice: {', '.join(doubled)}")
        return sorted((str(SeatName.parse(name)) for name in seats), key=SeatName.parse)

    @field_validator("quantities")
    @classmethod
    def _sorted(cls, quantities: dict[str, int]) -> dict[str, int]:
        return dict(sorted(quantities.items()))

    @model_validator(mode="after")
    def _bounded(self) -> BookingBody:
        places = len(self.seats) + sum(self.quantities.values())
        if not 1 <= places <= MAX_PLACES:
            raise ValueError(f"a booking has 1 to {MAX_PLACES} places, this one has {places}")
        return self


class PaymentBody(BaseModel):
    """How to pay; `payment_method` is the provider's token, never a card number."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"provider": "stripe"}]})

    provider: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    payment_method: Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_]{2,127}$")] | None = None


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
        ProblemType.OUTCOME_UNKNOWN,
    ),
)
async def hold(body: BookingBody, user: Caller, desk: AtDesk, response: Response, key: IdempotencyKey) -> Booking:
    """Hold all the places, or none (409 names those that others have)."""
    booking_id_ = booking_id_for(user.user_id, key, secret(desk.settings.booking_id_secret))
    response.headers["Location"] = f"/v1/bookings/{booking_id_}"
    sha256 = digest(body)
    async with desk.engine.connect() as connection:
        known = await bookings.find(connection, booking_id_)
        if known:
            refuse_other_body(await bookings.body_of(connection, booking_id_) or "", sha256)
            return _as_first_answered(known)
        sale = await bookings.sale(connection, body.event_id)
    bookings.price_of(sale.sections, body.seats, body.quantities)
    request = BookingRequest(
        id=booking_id_,
        user_id=user.user_id,
        event_id=body.event_id,
        seats=tuple(body.seats),
        quantities=body.quantities,
        body_sha256=sha256,
        hold_seconds=sale.hold_seconds,
        policy=_policy(desk.settings),
    )
    await _turn_away_early(desk, request)
    return await _hold(desk, request)


async def _turn_away_early(desk: Desk, request: BookingRequest) -> None:
    """Refuse what is taken already without starting a workflow."""
    try:
        taken = await desk.locks.peek(Places(request.event_id, request.id, request.seats, request.quantities))
    except ColdEvent:
        return
    if taken:
        raise bookings.seats_unavailable(taken)


async def _hold(desk: Desk, request: BookingRequest) -> Booking:
    try:
        outcome = await commands.hold(desk.temporal, request, wait=desk.settings.hold_wait)
    except WorkflowClosed:
        booking = await find_booking(desk, request.id)
        if booking is None:
            raise commands.unknown(request.id) from None
        return _as_first_answered(booking)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.booking is None:
        assert outcome.problem is not None
        raise _refused(outcome.problem)
    return _as_first_answered(outcome.booking)


def _as_first_answered(booking: Booking) -> Booking:
    """A repeated call gets the first answer again; `GET` tells how the booking stands now."""
    return booking.model_copy(update={"status": BookingStatus.HELD, "version": 1, "tickets": ()})


def _policy(settings: Settings) -> BookingPolicy:
    return BookingPolicy(
        payment_window=timedelta(seconds=settings.payment_window), compensation_attempts=settings.compensation_attempts
    )


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
    booking_id: UUID, body: PaymentBody, user: Caller, desk: AtDesk, response: Response, key: IdempotencyKey
) -> dict[str, Any]:
    """Pay once, however often this is called with the same key; a decline (402) keeps the seats for another try."""
    method = _accepted_method(body)
    await own_booking(user, desk, booking_id)
    async with desk.engine.connect() as connection:
        now = await bookings.now(connection)
    command = PaymentCommand(
        provider=body.provider,
        payment_method=method,
        return_url=f"{desk.settings.api_url}/v1/bookings/{booking_id}",
        deadline=now + timedelta(seconds=desk.settings.payment_wait),
        body_sha256=digest(body),
    )
    try:
        outcome = await commands.pay(
            desk.temporal, booking_id, command, key=update_id("pay", key), wait=desk.settings.payment_wait
        )
    except WorkflowClosed:
        raise await _over(desk, booking_id) from None
    refuse_other_body(outcome.body_sha256, command.body_sha256)
    return await _payment_answer(desk, booking_id, outcome, response)


def _accepted_method(body: PaymentBody) -> str:
    if body.provider not in PROVIDERS:
        raise Refused(ProblemType.UNKNOWN_PROVIDER, f"Known providers: {', '.join(PROVIDERS)}.", field="provider")
    if body.payment_method is None:
        raise Refused(ProblemType.INVALID_REQUEST, f"{body.provider} needs a payment method.", field="payment_method")
    return body.payment_method


async def _payment_answer(desk: Desk, booking_id: UUID, outcome: PaymentOutcome, response: Response) -> dict[str, Any]:
    """What a payment came to; an order that was answered while it was still going on is answered by where it is now."""
    booking = outcome.booking
    if outcome.action_url or (outcome.problem and outcome.problem.type is ProblemType.OUTCOME_UNKNOWN):
        booking = await find_booking(desk, booking_id)
    if booking is not None and booking.status is BookingStatus.CONFIRMED:
        return booking.model_dump()
    if outcome.problem:
        raise _refused(outcome.problem)
    assert booking is not None
    if booking.status not in (BookingStatus.PAYING, BookingStatus.ACTION_REQUIRED):
        raise _refused(_not_completed(booking))
    response.status_code = status.HTTP_202_ACCEPTED
    return booking.model_dump() | {"next_action": {"type": "redirect_to_url", "url": outcome.action_url}}


def _not_completed(booking: Booking) -> Problem:
    return Problem(
        type=ProblemType.WRONG_STATE,
        detail="The payment was not completed.",
        members={"booking_id": str(booking.id), "booking_status": booking.status},
    )


@router.get("/bookings/{booking_id}", summary="Look at a booking", responses=documented(ProblemType.NOT_FOUND))
async def look(booking_id: UUID, user: Caller, desk: AtDesk) -> Booking:
    """The booking as it stands now."""
    return await own_booking(user, desk, booking_id, staff=True)


@router.delete(
    "/bookings/{booking_id}",
    summary="Cancel a booking that is not paid",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.REFUND_REQUIRED, ProblemType.WRONG_STATE),
)
async def cancel(booking_id: UUID, user: Caller, desk: AtDesk) -> Booking:
    """Let go of the seats; a payment in flight is waited for and undone. Cancelling twice is no error."""
    booking = await own_booking(user, desk, booking_id)
    if booking.status is BookingStatus.CANCELLED:
        return booking
    try:
        outcome = await commands.cancel(desk.temporal, booking_id, wait=desk.settings.payment_wait)
    except WorkflowClosed:
        booking = await own_booking(user, desk, booking_id)
        if booking.status is BookingStatus.CANCELLED:
            return booking
        raise await _over(desk, booking_id) from None
    if outcome.booking is None:
        assert outcome.problem is not None
        raise _refused(outcome.problem)
    return outcome.booking


@router.get("/me/bookings", summary="My bookings, newest first")
async def mine(user: Caller, desk: AtDesk, cursor: UUID | None = None) -> dict[str, Any]:
    """Pages of 50; `next_cursor` leads to the next one."""
    async with desk.engine.connect() as connection:
        page = await bookings.of_user(connection, user.user_id, after=cursor, limit=50)
    return {"bookings": page, "next_cursor": page[-1].id if len(page) == 50 else None}


async def find_booking(desk: Desk, booking_id: UUID) -> Booking | None:
    """The booking as it stands now, whoever's it is."""
    async with desk.engine.connect() as connection:
        return await bookings.find(connection, booking_id)


async def own_booking(user: Principal, desk: Desk, booking_id: UUID, *, staff: bool = False) -> Booking:
    """The user's own booking; another's is as if it did not exist, but for staff where it may look."""
    booking = await find_booking(desk, booking_id)
    if booking is None or not (booking.user_id == user.user_id or (staff and user.roles & _STAFF)):
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    return booking


async def _over(desk: Desk, booking_id: UUID) -> Refused:
    booking = await find_booking(desk, booking_id)
    if booking and booking.status is BookingStatus.CONFIRMED:
        return Refused(
            ProblemType.REFUND_REQUIRED,
            "The booking is paid.",
            booking_id=str(booking_id),
            booking_status=booking.status,
        )
    return Refused(
        ProblemType.WRONG_STATE,
        "The booking is over.",
        booking_id=str(booking_id),
        booking_status=booking.status if booking else None,
    )


def _refused(problem: Problem) -> Refused:
    return Refused(problem.type, problem.detail, **problem.members)
