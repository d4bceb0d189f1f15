"""The answer to a change of an event says whether something was begun, also where its outcome cannot be learned."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from sqlalchemy import text
from temporalio.client import Client, WorkflowHandle

from activities.catalogue.events import CatalogueActivities
from api.app import create_app
from api.auth.tokens import Principal
from api.catalogue import changes
from config.settings import Settings
from db.engine import open_engine
from db.reservation import inventory
from domain.catalogue import EventChange
from domain.identity import Role
from domain.problems import ProblemType, Refused
from tests.network import Network
from tests.platform_client import PlatformClient
from tests.tokens import access_tokens
from tests.waiting import eventually
from workflows.event_cancellation import CancelEvent, EstimateCancellation, EventCancellation
from workflows.ids import (
    event_cancellation_estimate_workflow_id,
    event_cancellation_workflow_id,
    publication_workflow_id,
)
from workflows.publication import PublishEvent

EVENT = UUID(int=7)
CANCEL = CancelEvent(event_id=EVENT, requested_by=UUID(int=1), attempts=1)

Call = Callable[[Any, UUID], Awaitable[Any]]
CALLS: dict[str, tuple[Any, Callable[[UUID], str], Callable[[UUID], Any], Call, ProblemType]] = {
    "publish": (
        PublishEvent.run,
        publication_workflow_id,
        lambda event: EventChange(event_id=event),
        lambda client, event: changes.publish(client, EventChange(event_id=event)),
        ProblemType.OUTCOME_UNKNOWN,
    ),
    "cancel": (
        EventCancellation.run,
        event_cancellation_workflow_id,
        lambda event: CANCEL.model_copy(update={"event_id": event}),
        lambda client, event: changes.cancel(client, CANCEL.model_copy(update={"event_id": event}), again=True),
        ProblemType.OUTCOME_UNKNOWN,
    ),
    "estimate": (
        EstimateCancellation.run,
        event_cancellation_estimate_workflow_id,
        lambda event: event,
        changes.estimate,
        ProblemType.UNAVAILABLE,
    ),
}


class Watched:
    """A Temporal client that says when a workflow was joined."""

    def __init__(self, client: Client) -> None:
        self._client, self.joined = client, asyncio.Event()

    async def start_workflow(self, *order: Any, **options: Any) -> WorkflowHandle[Any, Any]:
        handle: WorkflowHandle[Any, Any] = await self._client.start_workflow(*order, **options)
        self.joined.set()
        return handle


@pytest.mark.parametrize("call", CALLS)
async def test_a_workflow_that_fails_while_its_caller_waits_is_a_503(platform: PlatformClient, call: str) -> None:
    event, watched = uuid4(), Watched(platform.temporal)
    run, workflow_id, request, order, problem = CALLS[call]
    nowhere = f"queue-without-workers-{event}"
    started = await platform.temporal.start_workflow(run, request(event), id=workflow_id(event), task_queue=nowhere)
    waiting = asyncio.ensure_future(order(watched, event))
    await watched.joined.wait()
    await started.terminate("for the test")
    with pytest.raises(Refused) as refused:
        await waiting
    assert refused.value.problem.type is problem
    assert refused.value.problem.members == ({} if call == "estimate" else {"event_id": str(event)})


@pytest.mark.parametrize(("command", "status"), [("publish", "published"), ("cancel", "cancelled")])
async def test_a_change_that_is_carried_out_but_cannot_be_read_has_an_unknown_outcome(
    platform: PlatformClient, settings: Settings, network: Network, command: str, status: str
) -> None:
    line = await network.line("postgres")
    app = create_app(settings.model_copy(update={"postgres_port": line.port}), {"catalogue"})
    reservation = open_engine(settings.database_url("reservation"), serves_callers=False)
    catalogue = open_engine(settings.database_url("catalogue"), serves_callers=False)
    event = await platform.draft()
    operator = Principal(uuid4(), frozenset({Role.ORGANIZER, Role.OPERATOR}))
    headers = {"Authorization": f"Bearer {access_tokens(settings).issue(operator)}"}
    path, body = f"/v1/events/{event}/{command}", {"reason": "The hall is flooded."} if command == "cancel" else None

    async def waits() -> bool:
        async with reservation.connect() as connection:
            found = await connection.execute(text(_WAITS))
            return bool(found.scalar_one())

    async def is_done() -> bool:
        now = await platform.http.get(f"/v1/events/{event}", headers=headers)
        return bool(now.json()["status"] == status)

    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    async with app.router.lifespan_context(app), httpx2.AsyncClient(transport=transport, base_url="http://api") as http:
        async with reservation.connect() as blocking:  # a copy that is never committed: the change waits for its end
            await inventory.put_on_sale(blocking, await CatalogueActivities(catalogue).read_event(UUID(event)))
            changing = asyncio.create_task(http.post(path, headers=headers, json=body))
            await eventually(waits)
            await line.cut()
        answer = await changing
        await line.heal()
    assert (answer.status_code, answer.json()["type"].rpartition("/")[2]) == (503, "outcome-unknown"), answer.text
    assert answer.json()["event_id"] == event
    await eventually(is_done)
    await reservation.dispose()
    await catalogue.dispose()


_WAITS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND query LIKE 'INSERT INTO events%'"
)
