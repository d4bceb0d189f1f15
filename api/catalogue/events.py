"""Events over REST: draft, look, publish, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Query, status
from pydantic import (
    AwareDatetime,
    BaseModel,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from adapters.payment.registry import PROVIDERS
from api.auth.audit import AtTrail
from api.auth.guards import OptionalCaller, Organizer, OrganizerOrOperator
from api.auth.ownership import is_theirs, may_change, may_see
from api.auth.tokens import Principal
from api.http.deadlines import promptly
from api.http.problems import documented
from api.http.resources import CatalogueDatabase, Open
from api.http.schemas import MinorUnits, PositiveInt, RequestModel, SectionName, ShortText
from db.catalogue import events
from domain.cancellations import Estimate
from domain.catalogue import MAX_EVENT_PLACES, MAX_SECTIONS, Event, EventPlan, EventStatus, Section
from domain.domain_events import Venue
from domain.exchanges import ExchangePolicy
from domain.identity import TeamRole
from domain.money import Currency
from domain.problems import ProblemType, Refused
from domain.refunds import RefundPolicy
from temporal.queues import CATALOGUE, RESERVATION
from workflows.event_cancellation import CancelEvent, EstimateCancellation, EventCancellation
from workflows.ids import (
    event_cancellation_estimate_workflow_id,
    event_cancellation_workflow_id,
    publication_workflow_id,
)
from workflows.publication import PublishEvent

router = APIRouter(prefix="/v1/events", tags=["catalogue"])
_WAIT = 20  # seconds for places to be copied; the workflow goes on when we stop waiting
_START = timedelta(seconds=2)
_LATEST_START = datetime(2200, 1, 1, tzinfo=UTC)
Order = TypeVar("Order")
Result = TypeVar("Result")


class NewVenue(RequestModel):
    name: ShortText = Field(examples=["Zorlu PSM"])
    city: ShortText = Field(examples=["Istanbul"])
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(
        description="ISO 3166-1 alpha-2", examples=["TR"]
    )
    latitude: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[41.067])
    longitude: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[29.017])


class NewSeatedSection(RequestModel):
    name: SectionName = Field(examples=["A"])
    kind: Literal["seated"]
    rows: PositiveInt
    seats_per_row: PositiveInt
    price: MinorUnits

    def section(self) -> Section:
        return Section(**self.model_dump(), capacity=self.rows * self.seats_per_row)


class NewGeneralSection(RequestModel):
    name: SectionName = Field(examples=["Standing"])
    kind: Literal["general"]
    capacity: PositiveInt
    price: MinorUnits

    def section(self) -> Section:
        return Section(**self.model_dump())


NewSection = Annotated[NewSeatedSection | NewGeneralSection, Field(discriminator="kind")]


class NewRefundPolicy(RequestModel):
    """What is granted to buyers who change their mind; `until_hours` null: nothing."""

    until_hours: Annotated[int, Field(ge=0, le=24 * 365, strict=True)] | None = Field(
        default=0, description="Until how many hours before the beginning tickets may be given back.", examples=[24]
    )
    fee_percent: int = Field(
        default=0, ge=0, le=100, strict=True, description="Kept of each ticket's price.", examples=[10]
    )
    fee_fixed: MinorUnits = Field(default=0, description="Kept of each ticket besides.", examples=[150])


class NewExchangePolicy(RequestModel):
    """What is granted to buyers who want another seat; `until_hours` null: nothing."""

    until_hours: Annotated[int, Field(ge=0, le=24 * 365, strict=True)] | None = Field(
        default=0, description="Until how many hours before the beginning seats may be exchanged.", examples=[24]
    )


class NewEvent(RequestModel):
    """What an organizer decides; prices are integer minor units."""

    team_id: UUID | None = Field(default=None, description="Of a team that you own: the event is the team's.")

    name: ShortText = Field(examples=["Hamlet"])
    category: ShortText = Field(examples=["theatre"])
    venue: NewVenue
    starts_at: AwareDatetime = Field(lt=_LATEST_START, examples=["2030-05-01T19:30:00Z"])
    currency: Currency = Field(examples=["EUR"])
    hold_seconds: int = Field(
        ge=1, le=3600, strict=True, description="How long a buyer may think before paying.", examples=[600]
    )
    refund_policy: NewRefundPolicy = NewRefundPolicy()
    exchange_policy: NewExchangePolicy = NewExchangePolicy()
    providers: Annotated[list[str], Field(min_length=1, max_length=len(PROVIDERS))] | None = Field(
        default=None,
        description="By which it may be paid; null: by any that takes its currency.",
        examples=[["stripe"]],
    )
    sections: list[NewSection] = Field(min_length=1, max_length=MAX_SECTIONS)

    @field_validator("providers")
    @classmethod
    def _take_the_currency(cls, names: list[str] | None, info: ValidationInfo) -> list[str] | None:
        currency = info.data.get("currency")
        for name in names or ():
            if name not in PROVIDERS:
                raise PydanticCustomError("providers", "unknown; known are {known}", {"known": ", ".join(PROVIDERS)})
            if currency and currency not in PROVIDERS[name].currencies:
                about = {"name": name, "currency": currency}
                raise PydanticCustomError("providers", "{name} does not take {currency}", about)
        return names and sorted(set(names))

    @model_validator(mode="after")
    def _fits(self) -> NewEvent:
        sections = [new.section() for new in self.sections]
        if len({section.name.casefold() for section in sections}) < len(sections):
            raise PydanticCustomError("sections", "two sections have the same name")
        if sum(section.capacity for section in sections) > MAX_EVENT_PLACES:
            raise PydanticCustomError("sections", "an event may have 100,000 places")
        return self

    def plan(self) -> EventPlan:
        return EventPlan(
            **self.model_dump(exclude={"venue", "sections", "team_id"}),
            venue=Venue(**self.venue.model_dump()),
            sections=tuple(new.section() for new in self.sections),
        )


class EventBody(BaseModel):
    """An event as everyone may see it once it is published."""

    id: UUID
    organizer_id: UUID
    status: EventStatus
    version: int
    name: str
    category: str
    venue: Venue
    starts_at: AwareDatetime
    currency: Currency
    hold_seconds: int
    refund_policy: RefundPolicy
    exchange_policy: ExchangePolicy
    providers: list[str] | None
    sections: list[Section]


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
    trail: AtTrail,
) -> EventBody:
    async with engine.begin() as connection:
        event = await events.draft(connection, _organizer(caller, body.team_id), body.plan())
        await trail.note(caller, "event.drafted", f"event/{event.id}")
    return _body(event)


def _organizer(caller: Principal, team_id: UUID | None) -> UUID:
    """Whose the new event is."""
    if team_id is None:
        return caller.user_id
    if caller.teams.get(team_id) is not TeamRole.OWNER:
        raise Refused(
            ProblemType.INVALID_REQUEST,
            "You own no such team.",
            errors=[{"field": "body.team_id", "message": "is no team that you own"}],
        )
    return team_id


@router.get(
    "/{event_id}",
    summary="An event",
    responses=documented(ProblemType.NOT_FOUND),
    openapi_extra={"security": [{}]},  # or none: a published event is everybody's to see
)
async def look(event_id: UUID, caller: OptionalCaller, engine: CatalogueDatabase, trail: AtTrail) -> EventBody:
    event = await _visible(engine, event_id, caller)
    if caller and not (event.was_published or is_theirs(caller, event.organizer_id)):
        await trail.note(caller, "event.looked-at", f"event/{event_id}")
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
    event_id: UUID, caller: OrganizerOrOperator, engine: CatalogueDatabase, opened: Open, trail: AtTrail
) -> EventBody:
    event = await _own(engine, event_id, caller)
    async with engine.connect() as connection:
        await events.check_publishable(connection, event)
    if event.status is EventStatus.DRAFT:
        await trail.note(caller, "event.published", f"event/{event_id}")
        await _outcome(
            (
                await _begin(opened.temporal, PublishEvent.run, event_id, publication_workflow_id(event_id), CATALOGUE)
            ).result()
        )
    event = await _own(engine, event_id, caller)
    if event.status is EventStatus.CANCELLED:
        raise Refused(ProblemType.WRONG_STATE, "The event was cancelled meanwhile.")
    return _body(event)


@router.post("/{event_id}/cancel", summary="Call an event off (its organizer, operators)", responses=_CHANGE_PROBLEMS)
async def cancel(
    event_id: UUID,
    caller: OrganizerOrOperator,
    engine: CatalogueDatabase,
    opened: Open,
    trail: AtTrail,
    dry_run: Annotated[bool, Query(description="Only say what it would mean.")] = False,
) -> EventBody | Estimate:
    """Sales have stopped when this answers; bookings are let go and refunded then: see `…/cancellation`."""
    await _own(engine, event_id, caller)
    if dry_run:
        id = event_cancellation_estimate_workflow_id(event_id)
        handle = await _begin(opened.temporal, EstimateCancellation.run, event_id, id, RESERVATION)
        return await _outcome(handle.result())
    await trail.note(caller, "event.cancelled", f"event/{event_id}")
    order = CancelEvent(
        event_id=event_id,
        requested_by=caller.user_id,
        attempts=opened.settings.compensation_attempts,
    )
    id = event_cancellation_workflow_id(event_id)
    with suppress(WorkflowAlreadyStartedError):  # it has come to its end already
        begun = await _begin(opened.temporal, EventCancellation.run, order, id, RESERVATION, again=False)
        await _outcome(_sales_stopped(begun))
    return _body(await _own(engine, event_id, caller))


async def _sales_stopped(cancellation: WorkflowHandle[Any, Any]) -> None:
    try:
        await cancellation.execute_update(EventCancellation.sales_stopped)
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # Where nobody has to be paid back, it may have come to its end between our two calls.
        await cancellation.result()


async def _begin(
    client: Client,
    run: Callable[[Any, Order], Awaitable[Result]],
    order: Order,
    id: str,
    queue: str,
    *,
    again: bool = True,
) -> WorkflowHandle[Any, Result]:
    """Start a workflow, or join the one that runs; one that has completed is begun `again`, or not.

    Raises:
        WorkflowAlreadyStartedError: It has completed, and is not to be begun again.
    """
    policy = WorkflowIDReusePolicy
    async with asyncio.timeout(_START.total_seconds()):
        return await client.start_workflow(
            run,
            order,
            id=id,
            task_queue=queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=policy.ALLOW_DUPLICATE if again else policy.ALLOW_DUPLICATE_FAILED_ONLY,
            rpc_timeout=_START,
        )


async def _outcome(answer: Awaitable[Result]) -> Result:
    try:
        async with asyncio.timeout(_WAIT):
            return await answer
    except (TimeoutError, WorkflowUpdateRPCTimeoutOrCancelledError):
        raise Refused(
            ProblemType.OUTCOME_UNKNOWN, "It takes longer than usual and goes on; ask again for the outcome."
        ) from None


async def _visible(engine: AsyncEngine, event_id: UUID, caller: Principal | None) -> Event:
    """The event, if the caller may see it: what was never published is for its organizer and for staff."""
    event = await promptly(_find(engine, event_id))
    if event is None or not (event.was_published or _may_see_drafts(event, caller)):
        raise _no_such_event()
    return event


async def _find(engine: AsyncEngine, event_id: UUID) -> Event | None:
    async with engine.connect() as connection:
        return await events.find(connection, event_id)


async def _own(engine: AsyncEngine, event_id: UUID, caller: Principal) -> Event:
    """The event, if the caller may change it; another's is as if it did not exist, though everyone may see it."""
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
