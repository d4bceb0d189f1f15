"""A booking as it goes on: a stream of states for its buyer; every step, retry and compensation for support."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from fastapi.sse import EventSourceResponse, ServerSentEvent
from prometheus_client import Gauge

from api.auth.guards import BookingReader, Staff, is_still_good
from api.http.problems import documented
from api.reservation.context import Reservation, ReservationContext
from api.reservation.reads import (
    ReadableBooking,
    domain_events_of,
    exchanges_of,
    find_booking,
    find_details,
    refunds_of,
    require_booking,
)
from api.reservation.views import DomainEventView, ExchangeTimeline, ExchangeView, RefundTimeline, Timeline
from domain.bookings import OVER, Booking, BookingStatus
from domain.problems import ProblemType, Refused
from temporal.timeline import TimelineEntry, of_workflow
from workflows.ids import booking_workflow_id, exchange_workflow_id, refund_workflow_id

router = APIRouter(prefix="/v1/bookings/{booking_id}", tags=["bookings"])

_READ_EVERY = 0.5  # seconds
_LONGEST = 30 * 60  # seconds; a client may connect again
_HISTORIES_AT_ONCE = 10  # of one timeline
_AT_ONCE = 10  # streams of one user at one process, since each reads the database again and again
_SHARE = 4  # one in so many connections of a process may be a stream: a stream keeps its connection, others need one
_RETRY_AFTER = 60  # seconds

_STREAMS: Final = Gauge("seatwright_streams", "Streams of bookings that are open")


@router.get(
    "/timeline",
    name="get_booking_timeline",
    summary="List every step of a booking (support, operators)",
    responses=documented(ProblemType.FORBIDDEN, ProblemType.NOT_FOUND),
)
async def timeline(booking_id: UUID, caller: Staff, context: Reservation) -> Timeline:
    """The workflow's steps, as long as Temporal keeps its history, and the newest domain events, which stay."""
    booking = await require_booking(context, booking_id)
    await context.recorder.record(caller, "booking.timeline-read", f"booking/{booking_id}")
    refunds = {refund_workflow_id(each.id): each for each in await refunds_of(context, booking)}
    exchanges = {exchange_workflow_id(each.id): each for each in await exchanges_of(context, booking_id)}
    own = booking_workflow_id(booking_id)
    steps = await _steps_of(context, [own, *refunds, *exchanges])
    return Timeline(
        booking=booking,
        steps=steps[own],
        refunds=[RefundTimeline(refund=refund, steps=steps[id]) for id, refund in refunds.items()],
        exchanges=[
            ExchangeTimeline(exchange=ExchangeView.of(exchange), steps=steps[id]) for id, exchange in exchanges.items()
        ],
        domain_events=[DomainEventView(**each) for each in await domain_events_of(context, booking_id)],
    )


async def _steps_of(context: ReservationContext, ids: Sequence[str]) -> dict[str, list[TimelineEntry]]:
    """The steps of each workflow, some histories at a time."""
    free = asyncio.Semaphore(_HISTORIES_AT_ONCE)

    async def read(id: str) -> list[TimelineEntry]:
        async with free:
            return await of_workflow(context.temporal, id)

    return dict(zip(ids, await asyncio.gather(*map(read, ids)), strict=True))


_open: Counter[UUID] = Counter()


async def _listening(user: BookingReader, context: Reservation) -> AsyncIterator[None]:
    """Count the open streams: the user's, and all of the process."""
    if _open[user.user_id] >= _AT_ONCE:
        raise _too_many(f"You may follow {_AT_ONCE} bookings at a time. Close a stream first.")
    if _open.total() >= context.settings.connections // _SHARE:
        raise _too_many("Too many bookings are being followed. Read the booking instead, or try again later.")
    _open[user.user_id] += 1
    try:
        with _STREAMS.track_inprogress():
            yield
    finally:
        _open[user.user_id] -= 1
        if not _open[user.user_id]:
            del _open[user.user_id]


def _too_many(detail: str) -> Refused:
    return Refused(ProblemType.RATE_LIMITED, detail, retry_after=_RETRY_AFTER)


@router.get(
    "/stream",
    name="stream_booking",
    response_class=EventSourceResponse,
    dependencies=[Depends(_listening)],
    summary="Follow a booking's state",
    responses=documented(ProblemType.NOT_FOUND, ProblemType.RATE_LIMITED),
)
async def stream(booking: ReadableBooking, context: Reservation, request: Request) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events named `status`: the current state, then each change, until the booking has ended.

    The stream ends sooner when the server restarts or the access token expires: connect again. At 429 `rate-limited`,
    read the booking instead from time to time: a server keeps only so many streams open.
    """
    current: Booking | None = booking
    seen = 0
    for _ in range(int(_LONGEST / _READ_EVERY)):
        if current is None or request.app.state.draining or not is_still_good(request):
            return
        if current.version > seen and (details := await find_details(context, booking.id)):
            current, seen = details, details.version
            yield ServerSentEvent(event="status", id=str(seen), data=details)
        if current.status in OVER - {BookingStatus.REFUNDING}:
            return
        await asyncio.sleep(_READ_EVERY)
        current = await find_booking(context, booking.id)
