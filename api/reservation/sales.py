"""What an event has sold, for its organizer, the staff of its team, support and operators."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from api.auth.audit import Recorder
from api.auth.guards import EventReader
from api.auth.ownership import is_theirs, may_see
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import ReservationDatabase
from db.reservation import revenue
from domain.problems import ProblemType, Refused
from domain.sales import Sales

router = APIRouter(prefix="/v1/events", tags=["reservation"])


@router.get(
    "/{event_id}/sales",
    name="get_event_sales",
    summary="Read what an event has sold (its organizer and team, support, operators)",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.NOT_FOUND),
)
async def get_sales(event_id: UUID, caller: EventReader, engine: ReservationDatabase, recorder: Recorder) -> Sales:
    """Paid bookings, valid tickets and revenue, as they are now."""

    async def find() -> tuple[Sales, UUID] | None:
        async with engine.connect() as connection:
            return await revenue.find(connection, event_id)

    found = await with_deadline(find())
    if found is None or not may_see(caller, found[1]):
        raise Refused(ProblemType.NOT_FOUND, "There is no such event.")
    if not is_theirs(caller, found[1]):
        await recorder.record(caller, "sales.looked-at", f"event/{event_id}")
    return found[0]
