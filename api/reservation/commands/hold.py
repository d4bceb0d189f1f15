"""Hold seats: find what the key has made already, refuse what cannot be held, then let the saga hold."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from adapters.payment.registry import PROVIDERS
from adapters.redis.seat_locks import ColdEvent, Places
from api.auth.tokens import Principal
from api.http.deadlines import with_deadline
from api.http.idempotency import booking_id_for, digest, refuse_other_body
from api.http.sagas import WorkflowClosed, after_order, unknown
from api.reservation import booking_saga, hold_quota
from api.reservation.answers import as_first_answered, refusal
from api.reservation.booking_saga import about
from api.reservation.context import MAX_DELAY, ReservationContext
from api.reservation.reads import find_booking
from api.reservation.replays import Replay, find_replay
from api.reservation.schemas import BookingBody
from config.settings import secret
from db.engine import autocommit
from db.reservation import offers
from db.reservation.bookings import free_places
from domain.bookings import Booking, BookingRequest, seats_unavailable
from domain.money import Money
from domain.problems import ProblemType, Refused
from domain.providers import check_total, payable_by
from temporal.policies import booking_policy


class _New(NamedTuple):
    """The request that a new key makes, and how many places its event has."""

    request: BookingRequest
    event_places: int


async def hold(context: ReservationContext, buyer: Principal, body: BookingBody, key: str) -> Booking:
    """Hold all the places of a body, or none; the same key gets the same booking.

    Raises:
        Refused: The places cannot be held, the user holds too many or has to confirm the email address first, or the
            outcome is not known.
    """
    booking_id = booking_id_for(buyer.user_id, key, secret(context.settings.booking_id_secret))
    found = await with_deadline(_prepare(context, buyer, body, booking_id))
    until = time.monotonic() + context.settings.hold_wait
    if isinstance(found, _New):
        async with hold_quota.counted(context, buyer, found.request, found.event_places):
            return await _hold(context, found.request, until)
    if found.may_be_lost:
        return await _hold(context, found.request, until, again=True)
    return as_first_answered(found.booking)


async def _prepare(context: ReservationContext, buyer: Principal, body: BookingBody, booking_id: UUID) -> Replay | _New:
    """What this key has made already, or else the request for the saga."""
    sha256, policy = digest(body), booking_policy(context.settings)
    async with autocommit(context.engine) as connection:
        replay = await find_replay(connection, booking_id, policy)
        if replay:
            refuse_other_body(replay.request.body_sha256, sha256)
            return replay
        sale = await offers.find_sale(connection, body.event_id)
    price = offers.price_of(sale.sections, body.seats, body.quantities)
    payable = payable_by(PROVIDERS.values(), sale.providers, sale.currency)
    check_total(Money(amount=price, currency=sale.currency), payable)
    _check_proof(context, buyer, free_places.count(sale.sections, body.seats, body.quantities))
    request = BookingRequest(
        id=booking_id,
        user_id=buyer.user_id,
        event_id=body.event_id,
        seats=tuple(body.seats),
        quantities=body.quantities,
        body_sha256=sha256,
        accept_alternatives=body.accept_alternatives,
        hold_seconds=sale.hold_seconds,
        not_after=sale.now + timedelta(seconds=context.settings.hold_wait) + MAX_DELAY,
        policy=policy,
    )
    await _refuse_taken(context, request)
    return _New(request, sum(section.capacity for section in sale.sections.values()))


def _check_proof(context: ReservationContext, buyer: Principal, free: int) -> None:
    """Nothing but the email address stands for a buyer who pays nothing."""
    if free and context.settings.free_places and not buyer.is_proven:
        detail = "Places that cost nothing need a confirmed email address: confirm it, then log in again."
        raise Refused(ProblemType.FORBIDDEN, detail)


async def _refuse_taken(context: ReservationContext, request: BookingRequest) -> None:
    """Refuse places that others have already, without starting a workflow."""
    try:
        taken = await context.locks.peek(Places(request.event_id, request.id, request.seats, request.quantities))
    except ColdEvent:
        return
    if taken:
        raise seats_unavailable(taken)


async def _hold(
    context: ReservationContext,
    request: BookingRequest,
    until: float,
    *,
    again: bool = False,
    was_refused: bool = False,
) -> Booking:
    wait = until - time.monotonic()
    try:
        outcome = await booking_saga.hold(context.temporal, request, wait=wait, again=again, was_refused=was_refused)
    except WorkflowClosed:
        return await _after_its_end(context, request, until, was_refused=was_refused)
    refuse_other_body(outcome.body_sha256, request.body_sha256)
    if outcome.booking is None:
        assert outcome.problem is not None
        raise refusal(outcome.problem)
    return as_first_answered(outcome.booking)


async def _after_its_end(
    context: ReservationContext, request: BookingRequest, until: float, *, was_refused: bool
) -> Booking:
    """A saga that has completed without a booking has refused the hold, which may be tried again."""
    with after_order(about(request.id)):
        booking = await find_booking(context, request.id)
    if booking:
        return as_first_answered(booking)
    if was_refused:
        raise unknown(about(request.id))  # the saga that was started for this call has ended at the same moment
    return await _hold(context, request, until, was_refused=True)
