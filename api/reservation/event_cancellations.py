"""The progress of an event's cancellation, for its organizer and for staff."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter

from api.auth.audit import Recorder
from api.auth.guards import EventReader
from api.auth.ownership import is_theirs, may_see
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import ReservationDatabase
from db.reservation import event_cancellations
from domain.event_cancellations import Cancellation
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/v1/events", tags=["reservation"])


@router.get(
    "/{event_id}/cancellation",
    name="get_event_cancellation",
    summary="Read the progress of an event's cancellation (its organizer, support, operators)",
    responses=documented(ProblemType.NOT_FOUND),
)
async def cancellation(
    event_id: UUID, caller: EventReader, engine: ReservationDatabase, recorder: Recorder
) -> Cancellation:
    """How many bookings are cancelled and refunded, which refunds failed, and the report at the end."""

    async def find() -> tuple[Cancellation, UUID] | None:
        async with engine.connect() as connection:
            return await event_cancellations.find(connection, event_id)

    found = await with_deadline(find())
    if found is None or not may_see(caller, found[1]):
        raise Refused(ProblemType.NOT_FOUND, "There is no such cancellation.")
    if not is_theirs(caller, found[1]):
        await recorder.record(caller, "cancellation.looked-at", f"event/{event_id}")
    return found[0]
