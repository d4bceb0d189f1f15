"""A booking's story: for its buyer as a stream of states, for support as every step, retry, timer and compensation."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent

from api.auth.guards import BookingReader, Staff, is_still_good
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.reservation.bookings import Reservation, ReservationContext, find_booking, own_booking
from api.reservation.exchanges import exchanges_of
from api.reservation.refunds import refunds_of
from db.reservation.bookings import history
from domain.bookings import OVER, Booking, BookingStatus
from domain.problems import ProblemType, Refused
from temporal.timeline import of_workflow
from workflows.ids import booking_workflow_id, exchange_workflow_id, refund_workflow_id

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["bookings"])

_LOOK_EVERY = 0.5  # seconds
_LONGEST = 30 * 60  # seconds; a client that is still interested connects again
_AT_ONCE = 10  # streams of one user at one process: each asks the database again and again


@router.get(
    "/timeline",
    summary="Every step of a booking, for support",
    responses=documented(ProblemType.FORBIDDEN, ProblemType.NOT_FOUND),
)
async def timeline(booking_id: UUID, caller: Staff, context: Reservation) -> dict[str, Any]:
    """What the workflow did, as long as Temporal keeps its history, and the domain events, which are kept for good."""
    booking = await find_booking(context, booking_id)
    if booking is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    await context.recorder.record(caller, "booking.timeline-read", f"booking/{booking_id}")
    return {
        "booking": booking,
        "steps": await of_workflow(context.temporal, booking_workflow_id(booking_id)),
        "refunds": [
            {"refund": refund, "steps": await of_workflow(context.temporal, refund_workflow_id(refund.id))}
            for refund in await with_deadline(refunds_of(context, booking_id))
        ],
        "exchanges": [
            {
                "exchange": exchange.answer(),
                "steps": await of_workflow(context.temporal, exchange_workflow_id(exchange.id)),
            }
            for exchange in await with_deadline(exchanges_of(context, booking_id))
        ],
        "domain_events": await with_deadline(_told(context, booking_id)),
    }


async def _told(context: ReservationContext, booking_id: UUID) -> list[dict[str, Any]]:
    async with context.engine.connect() as connection:
        return await history.domain_events(connection, booking_id)


async def _readable(booking_id: UUID, user: BookingReader, context: Reservation) -> Booking:
    return await own_booking(user, context, booking_id, staff=True)


_open: Counter[UUID] = Counter()


async def _listening(user: BookingReader) -> AsyncIterator[None]:
    """Count who listens, for as long as they do."""
    if _open[user.user_id] >= _AT_ONCE:
        detail = f"You may listen to {_AT_ONCE} bookings at a time."
        raise Refused(ProblemType.RATE_LIMITED, detail, retry_after=60)
    _open[user.user_id] += 1
    try:
        yield
    finally:
        _open[user.user_id] -= 1
        if not _open[user.user_id]:
            del _open[user.user_id]


@router.get(
    "/stream",
    response_class=EventSourceResponse,
    dependencies=[Depends(_listening)],
    summary="Each change of a booking's state, as it happens",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.RATE_LIMITED),
)
async def stream(
    booking: Annotated[Booking, Depends(_readable)], context: Reservation, request: Request
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events named `status`, the present one first; the stream ends when the booking has ended.

    It ends sooner where our process does, or the access token: connect again.
    """
    current: Booking | None = booking
    seen = 0
    for _ in range(int(_LONGEST / _LOOK_EVERY)):
        if current is None or request.app.state.draining or not is_still_good(request):
            return
        if current.version > seen:
            seen = current.version
            yield ServerSentEvent(event="status", id=str(seen), data=current)
        if current.status in OVER - {BookingStatus.REFUNDING}:
            return
        await asyncio.sleep(_LOOK_EVERY)
        current = await find_booking(context, booking.id)
