"""Everything that a scenario test does with the system from outside: create events, buy, read the provider, audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID, uuid4

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import ResetReapplyExcludeType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from activities.catalogue.events import CatalogueActivities
from activities.reservation.inventory import InventoryActivities
from api.auth.tokens import Principal
from audit.invariants import INVARIANTS
from audit.run import audit
from audit.snapshot import Invariant
from config.settings import Settings
from domain.catalogue import EventChange, EventStatus
from domain.identity import Role
from temporal.connection import connect_patiently
from temporal.policies import booking_policy
from tests.buyer import Buyer
from tests.engines import Engines
from tests.http_client import http_client, patient_client
from tests.provider import Provider
from tests.tokens import access_tokens
from tests.waiting import in_time
from workers.sweepers.workflow_recovery import recover_workflows
from workflows.ids import booking_workflow_id, exchange_workflow_id, refund_workflow_id


class _Starting:
    """A Temporal client that starts one workflow, and no other."""

    def __init__(self, client: Client, workflow: str) -> None:
        self._client, self._workflow = client, workflow

    async def start_workflow(self, *order: Any, id: str, **options: Any) -> None:
        if id == self._workflow:
            await self._client.start_workflow(*order, id=id, **options)


class PlatformClient:
    """Publishes events and makes buyers.

    Attributes:
        http: Repeats a call until its answer is no 503.
        hasty: Repeats no call: for tests that look at a 503.
        events: The ids of the events that it has published.
    """

    def __init__(self, settings: Settings, engines: Engines | None = None) -> None:
        """Args: engines: Those of all tests; without them, the client opens its own."""
        self.settings = settings
        self._own_engines = Engines(settings)
        self._engines = engines or self._own_engines
        self.http = patient_client(settings.api_url)
        self.hasty = http_client(settings.api_url, limits=httpx2.Limits(max_connections=400))
        self.provider = Provider(settings.sandbox_url)
        self._tokens = access_tokens(settings)
        self._organizer = self.new_buyer(Role.CUSTOMER, Role.ORGANIZER)
        self.events: list[str] = []

    async def __aenter__(self) -> Self:
        self.temporal: Client = await connect_patiently(self.settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        await self.hasty.aclose()
        await self.provider.close()
        await self._own_engines.close()

    def new_buyer(self, *roles: Role, is_proven: bool = True) -> Buyer:
        """A buyer (or a person with these roles) whose token the identity service could have issued."""
        user_id = uuid4()
        token = self._tokens.issue(Principal(user_id, frozenset(roles or (Role.CUSTOMER,)), is_proven=is_proven))
        return Buyer(self.http, user_id, token)

    async def event(self, **more: Any) -> str:
        """A published event; what it is like, `draft` says.

        The workflow's activities publish it without the workflow, which would cost as much as a booking.
        """
        event = await self.draft(**more)
        steps = CatalogueActivities(self._engines.of("catalogue"))
        await InventoryActivities(self._engines.of("reservation")).put_on_sale(await steps.read_event(UUID(event)))
        assert await steps.mark_published(EventChange(event_id=UUID(event))) is EventStatus.PUBLISHED
        self.events.append(event)
        return event

    async def draft(
        self,
        *,
        hold_seconds: int = 120,
        rows: int = 3,
        seats_per_row: int = 10,
        standing: int = 100,
        price: int = 5000,
        cheaper: int = 4000,
        standing_price: int = 3000,
        currency: str = "EUR",
        starts_in: timedelta = timedelta(days=30),
        refund_policy: Mapping[str, int | None] | None = None,
        exchange_policy: Mapping[str, int | None] | None = None,
        providers: list[str] | None = None,
    ) -> str:
        """An event with the seated sections A and B and the general-admission section Standing."""
        seated = {"kind": "seated", "rows": rows, "seats_per_row": seats_per_row}
        body = {
            "name": f"Event {uuid4()}",
            "category": "test",
            "venue": {"name": "Hall", "city": "Utrecht", "country": "NL", "latitude": 52.09, "longitude": 5.12},
            "starts_at": (datetime.now(UTC) + starts_in).isoformat(),
            "currency": currency,
            "hold_seconds": hold_seconds,
            "refund_policy": refund_policy or {},
            "exchange_policy": exchange_policy or {},
            "providers": providers,
            "sections": [
                {"name": "A", "price": price, **seated},
                {"name": "B", "price": cheaper, **seated},
                {"name": "Standing", "kind": "general", "capacity": standing, "price": standing_price},
            ],
        }
        created = await self._organizer.post("/v1/events", body)
        assert created.status_code == 201, created.text
        return str(created.json()["id"])

    async def publish(self, event: str) -> None:
        """Publish a draft by its workflow; the answer may come before its outcome is known."""
        answer = await self._organizer.at(self.hasty).post(f"/v1/events/{event}/publish")
        assert answer.status_code in (200, 503), answer.text

    async def call_off(self, event: str) -> None:
        """Mark an event as cancelled in the database, without notifying its bookings."""
        async with self._engines.of("reservation").begin() as connection:
            await connection.execute(text("UPDATE events SET status = 'cancelled' WHERE id = :id"), {"id": event})

    async def cancel(self, event: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Cancel an event, or with `dry_run` report the effect."""
        path = f"/v1/events/{event}/cancel?dry_run={str(dry_run).lower()}"
        answer = await self._organizer.post(path)
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def cancel_as_read(self, event: str) -> None:
        """Cancel an event in the version that is read now; a repeated call may find that an earlier one has done it."""
        path = f"/v1/events/{event}"
        read = await self._organizer.get(path)
        guarded = self._organizer.headers | {"If-Match": read.headers["etag"]}
        answer = await self.http.post(f"{path}/cancel", headers=guarded)
        assert answer.status_code in (200, 412), answer.text
        now = await self._organizer.get(path)
        assert now.json()["status"] == "cancelled", now.text

    async def cancellation(self, event: str) -> dict[str, Any]:
        answer = await self._organizer.get(f"/v1/events/{event}/cancellation")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def seat_map(self, event: str) -> dict[str, Any]:
        """An event's sections and seats, as the public sees them."""
        answer = await self.http.get(f"/v1/events/{event}/seats")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def seat(self, event: str, name: str) -> str:
        """A seat's status, as the public sees it."""
        seat_map = await self.seat_map(event)
        seats = {seat["name"]: seat["status"] for section in seat_map["sections"] for seat in section.get("seats", [])}
        return str(seats[name])

    async def seat_is_not_free(self, event: str, name: str) -> bool:
        return await self.seat(event, name) != "available"

    async def sold(self, event: str, name: str) -> bool:
        return await self.seat(event, name) == "sold"

    async def free_places(self, event: str, section: str) -> int:
        seat_map = await self.seat_map(event)
        return next(int(each["available"]) for each in seat_map["sections"] if each["name"] == section)

    def saga(self, booking: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(booking_workflow_id(UUID(booking)))

    async def redis_knows_the_end(self, booking: str) -> None:
        """Wait until Redis has released the places, shortly after the end of the booking is visible."""
        await in_time(self.saga(booking).result(), within=30)

    def refund_saga(self, refund: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(refund_workflow_id(UUID(refund)))

    def exchange_saga(self, exchange: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(exchange_workflow_id(UUID(exchange)))

    async def revive(
        self, engine: AsyncEngine, saga: WorkflowHandle[Any, Any], *, overdue: timedelta = timedelta(0)
    ) -> None:
        """Run the workflow recovery at once and for one saga; other tests terminate theirs on purpose."""
        only = cast(Client, _Starting(self.temporal, saga.id))
        await recover_workflows(engine, only, booking_policy(self.settings), overdue)

    async def reset(self, handle: WorkflowHandle[Any, Any], *, task: int = 4, without_updates: bool = False) -> None:
        """Reset a workflow to a task, as an operator can; its updates come again unless they are left out.

        Args:
            handle: Its latest run.
            task: The event that completed the task; by default that of the first one.
            without_updates: Whether they are left out.
        """
        left_out = [ResetReapplyExcludeType.RESET_REAPPLY_EXCLUDE_TYPE_UPDATE] if without_updates else []
        await self.temporal.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.settings.temporal_namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                reason="an operator wants another try",
                workflow_task_finish_event_id=task,
                request_id=str(uuid4()),
                reset_reapply_exclude_types=left_out,
            )
        )

    async def refund_by_hand(self, booking: str, amount: int | None = None) -> None:
        """Refund money of each payment in the provider's dashboard; all of it unless an amount is given."""
        of = {} if amount is None else {"amount": str(amount)}
        for intent in await self.provider.intents(booking):
            answer = await self.provider.as_stripe("/v1/refunds", {"payment_intent": intent["id"]} | of, self.settings)
            assert answer.status_code == 200, answer.text

    async def sales(self, event: str) -> tuple[int, int, int] | None:
        """The organizer's figures: bookings, tickets, revenue."""
        async with self._engines.of("analytics").connect() as connection:
            found = await connection.execute(
                text("SELECT bookings, tickets, revenue FROM sales WHERE event_id = :id"), {"id": event}
            )
            row = found.one_or_none()
        return (row.bookings, row.tickets, row.revenue) if row else None

    async def assert_audit_is_clean(self, invariants: Sequence[Invariant] = INVARIANTS) -> None:
        """Audit what this client has published, at this moment."""
        findings = await audit(self.settings, [UUID(event) for event in self.events], invariants)
        assert not findings, "\n".join(map(str, findings))
