"""Events over REST: draft, read, publish, cancel."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response, status
from sqlalchemy.ext.asyncio import AsyncEngine
from uuid_utils.compat import uuid7

from api.auth.audit import AuditRecorder, Recorder
from api.auth.guards import OptionalCaller, Organizer, OrganizerOrOperator
from api.auth.ownership import is_theirs, may_change, may_see
from api.auth.tokens import Principal
from api.catalogue import changes
from api.catalogue.prices import check_prices
from api.catalogue.schemas import CancelBody, EventBody, NewEvent
from api.http.deadlines import with_deadline
from api.http.idempotency import IdempotencyKey, creation_key, digest, refuse_other_body
from api.http.preconditions import IfMatch, Precondition, has_changed, tagged
from api.http.problems import documented
from api.http.resources import CatalogueDatabase, Open, Temporal
from db import creation_keys
from db.catalogue import events
from db.catalogue.tables import CreationKeyRow
from db.creation_keys import Claim
from domain.catalogue import Event, EventChange, EventStatus
from domain.event_cancellations import Estimate
from domain.identity import TeamRole
from domain.problems import ProblemType, Refused
from workflows.event_cancellation import CancelEvent

router = APIRouter(prefix="/v1/events", tags=["catalogue"])


@router.post(
    "",
    name="draft_event",
    status_code=status.HTTP_201_CREATED,
    summary="Draft an event (organizers)",
    responses=documented(
        ProblemType.UNAUTHENTICATED,
        ProblemType.FORBIDDEN,
        ProblemType.INVALID_REQUEST,
        ProblemType.WRONG_STATE,
        ProblemType.IDEMPOTENCY_KEY_REUSED,
    ),
)
async def draft(
    body: NewEvent,
    caller: Organizer,
    engine: CatalogueDatabase,
    opened: Open,
    recorder: Recorder,
    response: Response,
    key: IdempotencyKey,
) -> EventBody:
    """The draft is visible only to its organizer and to staff until it is published. One key drafts one event."""
    plan, owned = body.plan(), creation_key(caller.user_id, key)
    check_prices(plan)
    most_places = opened.settings.organizer_places
    async with engine.connect() as connection:
        known = await creation_keys.find(connection, CreationKeyRow, owned)
        if known is None:
            await events.check_draft(connection, _organizer(caller, body.team_id), plan, most_places=most_places)
    if known:
        event = await _again(engine, caller, body, known)
    else:
        event = await _drafted(engine, caller, body, owned, recorder, most_places)
    response.headers["Location"] = f"/v1/events/{event.id}"
    return tagged(response, _body(event))


async def _drafted(
    engine: AsyncEngine, caller: Principal, body: NewEvent, key: str, recorder: AuditRecorder, most_places: int
) -> Event:
    """The new draft. It is recorded before the transaction, which other drafts of the organizer wait for."""
    event_id, organizer_id = uuid7(), _organizer(caller, body.team_id)
    await recorder.record(caller, "event.drafted", f"event/{event_id}")
    try:
        async with engine.begin() as connection:
            claim = await creation_keys.claim(connection, CreationKeyRow, key, digest(body), event_id)
            if claim.is_new:
                return await events.draft(connection, event_id, organizer_id, body.plan(), most_places=most_places)
    except Refused:
        await recorder.record(caller, "event.draft-refused", f"event/{event_id}")
        raise
    await recorder.record(caller, "event.draft-refused", f"event/{event_id}")
    return await _again(engine, caller, body, claim)


async def _again(engine: AsyncEngine, caller: Principal, body: NewEvent, claim: Claim) -> Event:
    """The event that the key has drafted before, as it is now, if the caller still may see it."""
    refuse_other_body(claim.body_sha256, digest(body))
    return _seen(await _find(engine, claim.id), caller)


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
    name="get_event",
    summary="Read an event",
    responses=documented(ProblemType.NOT_FOUND),
    openapi_extra={"security": [{}]},  # or none, since a published event is public
)
async def get_event(
    event_id: UUID, caller: OptionalCaller, engine: CatalogueDatabase, recorder: Recorder, response: Response
) -> EventBody:
    """A published event is public, also after its cancellation. Only its organizer and staff see a draft."""
    event = await _visible(engine, event_id, caller)
    if caller and not (event.was_published or is_theirs(caller, event.organizer_id)):
        await recorder.record(caller, "event.looked-at", f"event/{event_id}")
    return tagged(response, _body(event))


_CHANGE_PROBLEMS = documented(
    ProblemType.UNAUTHENTICATED,
    ProblemType.FORBIDDEN,
    ProblemType.NOT_FOUND,
    ProblemType.WRONG_STATE,
    ProblemType.PRECONDITION_FAILED,
    ProblemType.OUTCOME_UNKNOWN,
)


@router.post(
    "/{event_id}/publish",
    name="publish_event",
    summary="Put an event on sale (its organizer, operators)",
    responses=_CHANGE_PROBLEMS,
)
async def publish(
    event_id: UUID,
    caller: OrganizerOrOperator,
    engine: CatalogueDatabase,
    temporal: Temporal,
    recorder: Recorder,
    if_match: Precondition,
    response: Response,
) -> EventBody:
    """Sales have started when this answers. Publishing a published event again changes nothing."""
    event = await _own(engine, event_id, caller)
    if_match.check(_body(event))
    async with engine.connect() as connection:
        await events.check_publishable(connection, event)
    if event.status is EventStatus.DRAFT:
        await recorder.record(caller, "event.published", f"event/{event_id}")
        await changes.publish(temporal, EventChange(event_id=event_id, if_version=_version(event, if_match)))
    with changes.after_change(event_id):
        event = await _own(engine, event_id, caller)
        if not event.was_published:
            await recorder.record(caller, "event.publication-refused", f"event/{event_id}")
    if event.status is EventStatus.DRAFT:
        raise Refused(ProblemType.WRONG_STATE, "The event began before it could be published.")
    if event.status is EventStatus.CANCELLED:
        if if_match.names_a_state and not event.was_published:
            raise has_changed()
        raise Refused(ProblemType.WRONG_STATE, "The event was cancelled while it was being published.")
    return tagged(response, _body(event))


@router.post(
    "/{event_id}/cancel",
    name="cancel_event",
    summary="Cancel an event (its organizer, operators)",
    responses=_CHANGE_PROBLEMS,
)
async def cancel(
    event_id: UUID,
    caller: OrganizerOrOperator,
    engine: CatalogueDatabase,
    opened: Open,
    temporal: Temporal,
    recorder: Recorder,
    if_match: Precondition,
    response: Response,
    dry_run: Annotated[bool, Query(description="Answer what the cancellation would mean, and cancel nothing.")] = False,
    body: CancelBody | None = None,
) -> EventBody | Estimate:
    """Sales have stopped when this answers. Bookings are cancelled and refunded afterwards: read `…/cancellation`.

    An operator who cancels the event of another organizer says why.
    """
    event = await _own(engine, event_id, caller)
    if_match.check(_body(event))
    theirs = is_theirs(caller, event.organizer_id)
    reason = body.reason if body else None
    if dry_run:
        if not theirs:
            await recorder.record(caller, "event.cancellation-estimated", f"event/{event_id}", reason=reason)
        return await changes.estimate(temporal, event_id)
    if not (theirs or reason):
        raise Refused(ProblemType.INVALID_REQUEST, "reason: needed for another organizer's event.", field="reason")
    await recorder.record(caller, "event.cancelled", f"event/{event_id}", reason=reason)
    command = CancelEvent(
        event_id=event_id,
        requested_by=caller.user_id,
        attempts=opened.settings.compensation_attempts,
        if_version=_version(event, if_match),
    )
    for again in (False, True, True):
        await changes.cancel(temporal, command, again=again)
        with changes.after_change(event_id):
            event = await _own(engine, event_id, caller)
            if _has_other_version(event, command):
                await recorder.record(caller, "event.cancellation-refused", f"event/{event_id}")
                raise has_changed()
        if event.status is EventStatus.CANCELLED:
            return tagged(response, _body(event))
    raise Refused(ProblemType.OUTCOME_UNKNOWN, "The event is not cancelled yet: send the call again.")


def _version(event: Event, if_match: IfMatch) -> int | None:
    """The version that the change may start from; None for any. A cancelled event does not change any more."""
    return event.version if if_match.names_a_state and event.status is not EventStatus.CANCELLED else None


def _has_other_version(event: Event, command: CancelEvent) -> bool:
    """Whether the event is neither as it was read, nor cancelled from there: then the command does not cancel it."""
    is_cancelled = event.status is EventStatus.CANCELLED
    return command.if_version is not None and event.version != command.if_version + is_cancelled


async def _visible(engine: AsyncEngine, event_id: UUID, caller: Principal | None) -> Event:
    """The event, if the caller may see it: an unpublished event is for its organizer and for staff."""
    return _seen(await with_deadline(_find(engine, event_id)), caller)


def _seen(event: Event | None, caller: Principal | None) -> Event:
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
