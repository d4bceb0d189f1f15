"""Finds bookings for support by their buyer, a ticket, a refund or an exchange."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy import Select

from api.auth.guards import Staff
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.reservation.context import Reservation
from db.reservation.bookings import search
from domain.bookings import Booking
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/support", tags=["support"])

_BY: dict[str, Callable[[UUID], Select[UUID]]] = {
    "user_id": search.of_user,
    "ticket_id": search.of_ticket,
    "refund_id": search.of_refund,
    "exchange_id": search.of_exchange,
}


class FoundBookings(BaseModel):
    """The bookings that match, newest first: at most 50."""

    bookings: list[Booking]


async def _chosen(
    user_id: Annotated[UUID | None, Query(description="the buyer's id; see `POST /v1/support/people`")] = None,
    ticket_id: Annotated[UUID | None, Query(description="a valid or void ticket of the booking")] = None,
    refund_id: Annotated[UUID | None, Query(description="a refund of the booking")] = None,
    exchange_id: Annotated[UUID | None, Query(description="an exchange of one of the booking's tickets")] = None,
) -> tuple[str, UUID]:
    given = {"user_id": user_id, "ticket_id": ticket_id, "refund_id": refund_id, "exchange_id": exchange_id}
    chosen = [(name, value) for name, value in given.items() if value is not None]
    if len(chosen) != 1:
        raise Refused(ProblemType.INVALID_REQUEST, f"Give exactly one of {', '.join(given)}.", field="query")
    return chosen[0]


@router.get("/bookings", summary="Find bookings", responses=documented(ProblemType.FORBIDDEN))
async def find_bookings(
    caller: Staff, by: Annotated[tuple[str, UUID], Depends(_chosen)], context: Reservation
) -> FoundBookings:
    """Give exactly one parameter. Each call is recorded in the audit log. Tickets are in `GET /v1/bookings/{id}`."""
    name, value = by
    await context.recorder.record(caller, "booking.searched", f"{name.removesuffix('_id')}/{value}")

    async def read() -> list[Booking]:
        async with context.engine.connect() as connection:
            return await search.find(connection, _BY[name](value))

    return FoundBookings(bookings=await with_deadline(read()))
