"""Events over REST: draft, read, publish, cancel."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, status
from sqlalchemy.ext.asyncio import AsyncEngine

from api.auth.audit import Recorder
from api.auth.guards import OptionalCaller, Organizer, OrganizerOrOperator
from api.auth.ownership import is_theirs, may_change, may_see
from api.auth.tokens import Principal
from api.catalogue import changes
from api.catalogue.prices import check_prices
from api.catalogue.schemas import CancelBody, EventBody, NewEvent
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.http.resources import CatalogueDatabase, Open, Temporal
from db.catalogue import events
from domain.catalogue import Event, EventStatus
from domain.event_cancellations import Estimate
from domain.identity import TeamRole
from domain.problems import ProblemType, Refused
from workflows.event_cancellation import CancelEvent

router = APIRouter(prefix="/v1/events", tags=["catalogue"])


@router.post(
    "",
    status_code=status.HTTP_201_CREATED,
    summary="Draft an event (organizers)",
    responses=documented(ProblemType.UNAUTHENTICATED, ProblemType.FORBIDDEN, ProblemType.INVALID_REQUEST),
)
async def draft(
    body: NewEvent,
    caller: Organizer,
    engine: CatalogueDatabase,
    recorder: Recorder,
) -> EventBody:
    """The draft is visible only to its organizer and to staff until it is published."""
    plan = body.plan()
    check_prices(plan)
    async with engine.begin() as connection:
        event = await events.draft(connection, _organizer(caller, body.team_id), plan)
        await recorder.record(caller, "event.drafted", f"event/{event.id}")
    return _body(event)


def _organizer(caller: Principal, team_id: UUID | None) -> UUID:
    """Who owns the new event: the caller, or a team of theirs."""
    if team_id is None:
        return caller.user_id
    if caller.teams.get(team_id) is not TeamRole.OWNER:
        raise Refused(
            ProblemType.INVALID_REQUEST,
            "You do not own this team.",
            errors=[{"field": "body.team_id", "message": "is not a team that you own"}],
        )
    return team_id


@router.get(
    "/{event_id}",
    name="look",
    summary="Read an event",
    responses=documented(ProblemType.NOT_FOUND),
    openapi_extra={"security": [{}]},  # or none, since a published event is public
)
async def get_event(event_id: UUID, caller: OptionalCaller, engine: CatalogueDatabase, recorder: Recorder) -> EventBody:
    """A published event is public, also after its cancellation. Only its organizer and staff see a draft."""
    event = await _visible(engine, event_id, caller)
    if caller and not (event.was_published or is_theirs(caller, event.organizer_id)):
        await recorder.record(caller, "event.looked-at", f"event/{event_id}")
    return _body(event)


_CHANGE_PROBLEMS = documented(
    ProblemType.UNAUTHENTICATED,
    ProblemType.FORBIDDEN,
    ProblemType.NOT_FOUND,
    ProblemType.WRONG_STATE,
    ProblemType.OUTCOME_UNKNOWN,
)


@router.post(
    "/{event_id}/publish", summary="Put an event on sale (its organizer, operators)", responses=_CHANGE_PROBLEMS
)
async def publish(
    event_id: UUID, caller: OrganizerOrOperator, engine: CatalogueDatabase, temporal: Temporal, recorder: Recorder
) -> EventBody:
    """Sales have started when this answers. Publishing a published event again changes nothing."""
    event = await _own(engine, event_id, caller)
    async with engine.connect() as connection:
        await events.check_publishable(connection, event)
    if event.status is EventStatus.DRAFT:
        await recorder.record(caller, "event.published", f"event/{event_id}")
        await changes.publish(temporal, event_id)
    event = await _own(engine, event_id, caller)
    if event.status is EventStatus.CANCELLED:
        raise Refused(ProblemType.WRONG_STATE, "The event was cancelled while it was being published.")
    return _body(event)


@router.post("/{event_id}/cancel", summary="Cancel an event (its organizer, operators)", responses=_CHANGE_PROBLEMS)
async def cancel(
    event_id: UUID,
    caller: OrganizerOrOperator,
    engine: CatalogueDatabase,
    opened: Open,
    temporal: Temporal,
    recorder: Recorder,
    dry_run: Annotated[bool, Query(description="Answer what the cancellation would mean, and cancel nothing.")] = False,
    body: CancelBody | None = None,
) -> EventBody | Estimate:
    """Sales have stopped when this answers. Bookings are cancelled and refunded afterwards: read `…/cancellation`.

    An operator who cancels the event of another organizer says why.
    """
    theirs = is_theirs(caller, (await _own(engine, event_id, caller)).organizer_id)
    reason = body.reason if body else None
    if dry_run:
        if not theirs:
            await recorder.record(caller, "event.cancellation-estimated", f"event/{event_id}", reason=reason)
        return await changes.estimate(temporal, event_id)
    if not (theirs or reason):
        raise Refused(ProblemType.INVALID_REQUEST, "reason: the event is not yours: say why.", field="reason")
    await recorder.record(caller, "event.cancelled", f"event/{event_id}", reason=reason)
    command = CancelEvent(
        event_id=event_id, requested_by=caller.user_id, attempts=opened.settings.compensation_attempts
    )
    await changes.cancel(temporal, command)
    return _body(await _own(engine, event_id, caller))


async def _visible(engine: AsyncEngine, event_id: UUID, caller: Principal | None) -> Event:
    """The event, if the caller may see it: an unpublished event is for its organizer and for staff."""
    event = await with_deadline(_find(engine, event_id))
    if event is None or not (event.was_published or _may_see_drafts(event, caller)):
        raise _no_such_event()
    return event


async def _find(engine: AsyncEngine, event_id: UUID) -> Event | None:
    async with engine.connect() as connection:
        return await events.find(connection, event_id)


async def _own(engine: AsyncEngine, event_id: UUID, caller: Principal) -> Event:
    """The event, if the caller may change it. Other callers get 404, also where the event is public."""
    event = await _visible(engine, event_id, caller)
    if not may_change(caller, event.organizer_id):
        raise _no_such_event()
    return event


def _may_see_drafts(event: Event, caller: Principal | None) -> bool:
    return caller is not None and may_see(caller, event.organizer_id)


def _no_such_event() -> Refused:
    return Refused(ProblemType.NOT_FOUND, "There is no such event.")


def _body(event: Event) -> EventBody:
    return EventBody.model_validate(event.model_dump())
