"""What scenario tests do with the system from outside: organize events, buy, look at the provider, and audit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self, cast
from uuid import UUID, uuid4

import httpx2
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle

from api.tokens import Principal
from audit.run import audit
from config.settings import Settings, secret
from db.engine import open_engine
from domain.identity import Role
from temporal.connection import connect_patiently
from temporal.policies import booking_policy
from tests.tokens import access_tokens
from tests.waiting import eventually
from workers.revival import revive
from workflows.exchange import exchange_workflow_id
from workflows.refund import refund_workflow_id
from workflows.start import workflow_id

CARD = "pm_card_visa"
DECLINED_CARD = "pm_card_visa_chargeDeclined"
CARD_WITH_3DS = "pm_card_threeDSecure2Required"
OF_PAYU = {"succeeded": "approved", "failed": "declined"}
UNFINISHED = {"held", "paying", "action_required"}


async def known(call: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """What a call came to: 503 is not known yet, and every client repeats the call, with the key that it has."""

    async def answered() -> httpx2.Response:
        answer = await call()
        assert answer.status_code != 503, answer.text
        return answer

    return await eventually(answered, within=60, every=0.2)


class Buyer:
    """Somebody with an access token, at one API process."""

    def __init__(self, http: httpx2.AsyncClient, user_id: UUID, token: str) -> None:
        self._http = http
        self.user_id = user_id
        self.headers = {"Authorization": f"Bearer {token}"}

    def at(self, http: httpx2.AsyncClient) -> Buyer:
        """The same person at another API process."""
        other = Buyer(http, self.user_id, "")
        other.headers = self.headers
        return other

    async def hold(
        self, event: str, *seats: str, key: str | None = None, quantities: dict[str, int] | None = None, **more: Any
    ) -> httpx2.Response:
        body = {"event_id": event, "seats": list(seats), "quantities": quantities or {}, **more}
        return await self.post("/v1/bookings", body, key=key or str(uuid4()))

    async def held(self, event: str, *seats: str, quantities: dict[str, int] | None = None, **more: Any) -> str:
        """Hold, and the booking's id."""
        key = str(uuid4())
        answer = await known(lambda: self.hold(event, *seats, key=key, quantities=quantities, **more))
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def pay(
        self, booking: str, method: str | None = CARD, *, provider: str = "stripe", key: str | None = None
    ) -> httpx2.Response:
        body = {"provider": provider} | ({"payment_method": method} if method else {})
        return await self.post(f"/v1/bookings/{booking}/payment", body, key=key or str(uuid4()))

    async def bought(self, event: str, *seats: str, quantities: dict[str, int] | None = None) -> dict[str, Any]:
        """Hold and pay, and the confirmed booking."""
        booking, key = await self.held(event, *seats, quantities=quantities), str(uuid4())
        answer = await known(lambda: self.pay(booking, key=key))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def abandon(self, booking: str) -> httpx2.Response:
        return await self._http.delete(f"/v1/bookings/{booking}/payment", headers=self.headers)

    async def refund(
        self, booking: str, *tickets: str, key: str | None = None, reason: str = "We cannot come.", **more: Any
    ) -> httpx2.Response:
        body = {"reason": reason, "tickets": list(tickets), **more}
        return await self.post(f"/v1/bookings/{booking}/refund", body, key=key or str(uuid4()))

    async def exchange(
        self, booking: str, ticket: str, seat: str, *, key: str | None = None, method: str | None = CARD, **more: Any
    ) -> httpx2.Response:
        """Exchange a ticket's seat; paid with a card at Stripe unless `method` is None."""
        how = {"provider": "stripe", "payment_method": method} if method else {}
        body = {"ticket": ticket, "seat": seat} | how | more
        return await self.post(f"/v1/bookings/{booking}/exchange", body, key=key or str(uuid4()))

    async def exchanges(self, booking: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/v1/bookings/{booking}/exchanges")).json()["exchanges"]
        return found

    async def delete(self, path: str) -> httpx2.Response:
        return await self._http.delete(path, headers=self.headers)

    async def refunds(self, booking: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(f"/v1/bookings/{booking}/refunds")).json()["refunds"]
        return found

    async def cancel(self, booking: str) -> httpx2.Response:
        return await self._http.delete(f"/v1/bookings/{booking}", headers=self.headers)

    async def booking(self, booking: str) -> dict[str, Any]:
        body: dict[str, Any] = (await self.get(f"/v1/bookings/{booking}")).json()
        return body

    async def status(self, booking: str) -> str:
        return str((await self.booking(booking))["status"])

    async def ends_as(self, booking: str, *statuses: str, within: float = 30) -> str:
        """Wait until the booking has one of these states."""

        async def there() -> str | None:
            status = await self.status(booking)
            assert status in statuses, status
            return status

        return str(await eventually(there, within=within))

    async def post(self, path: str, body: Any = None, *, key: str | None = None) -> httpx2.Response:
        headers = self.headers | ({"Idempotency-Key": key} if key else {})
        return await self._http.post(path, json=body, headers=headers)

    async def get(self, path: str) -> httpx2.Response:
        return await self._http.get(path, headers=self.headers)


class Provider:
    """The payment sandbox, as seen from its own side."""

    def __init__(self, url: str) -> None:
        self._http = httpx2.AsyncClient(base_url=url, timeout=30)

    async def close(self) -> None:
        await self._http.aclose()

    async def will(self, kind: str, operation: str, booking: str, *, times: int = 1, **more: Any) -> None:
        """Misbehave on purpose, for one booking."""
        fault = {"operation": operation, "kind": kind, "times": times, "match": {"booking_id": booking}, **more}
        answer = await self._http.post("/_sandbox/faults", json=fault)
        assert answer.status_code == 201, answer.text

    async def intents(self, booking: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/_sandbox/intents", params={"booking": booking})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["intents"]
        return found

    async def kept(self, booking: str) -> int:
        """Money of the buyer's that the provider has taken or reserved, in minor units."""
        return sum(each["held"] + each["captured"] - each["refunded"] for each in await self.intents(booking))

    async def calls(self, booking: str, operation: str) -> list[dict[str, Any]]:
        answer = await self._http.get("/_sandbox/requests", params={"booking": booking, "operation": operation})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["requests"]
        return found

    async def expire(self, intent: str) -> None:
        """The bank takes a hold back before its time."""
        (await self._http.post(f"/_sandbox/intents/{intent}/expire")).raise_for_status()

    async def refunds(self, booking: str) -> list[dict[str, Any]]:
        """The refunds of all of a booking's intents, newest first."""
        found: list[dict[str, Any]] = []
        for intent in await self.intents(booking):
            answer = await self._http.get(f"/_sandbox/intents/{intent['id']}/refunds")
            found += answer.raise_for_status().json()["refunds"]
        return found

    async def left_pending(self, booking: str, face: str = "stripe") -> str | None:
        """The refund that a provider has not decided yet."""
        if face != "payu":
            return next((each["id"] for each in await self.refunds(booking) if each["status"] == "pending"), None)
        refunds: list[dict[str, Any]] = []
        for order in await self.intents(booking):
            if order["face"] == "payu":
                answer = await self._http.get("/_sandbox/payu/refunds", params={"intent": order["id"]})
                refunds += answer.raise_for_status().json()["refunds"]
        return next((each["refundId"] for each in refunds if each["status"] == "PENDING"), None)

    async def decide(self, refund: str, outcome: str, face: str = "stripe") -> None:
        """Let a refund that was left pending succeed or fail."""
        path = f"/_sandbox/refunds/{refund}/settle"
        if face == "payu":
            path, outcome = f"/_sandbox/payu/refunds/{refund}/settle", OF_PAYU[outcome]
        answer = await self._http.post(path, json={"outcome": outcome})
        assert answer.status_code == 200, answer.text

    async def as_stripe(self, path: str, form: dict[str, str], settings: Settings) -> httpx2.Response:
        """A call as somebody with our key could make it."""
        key = secret(settings.stripe_api_key)
        return await self._http.post(path, data=form, headers={"Authorization": f"Bearer {key}"})

    async def in_flight(self, booking: str, operation: str) -> bool:
        """Whether the provider has begun such a call, or done it."""
        if operation == "create":
            return True
        steps = {"confirm": "create", "capture": "confirm"}
        return bool(await self.calls(booking, steps[operation]))

    async def forgive(self, booking: str) -> None:
        """Behave again."""
        faults = (await self._http.get("/_sandbox/faults")).json()["faults"]
        for fault in faults:
            if fault["booking_id"] == booking:
                await self._http.delete(f"/_sandbox/faults/{fault['id']}")

    async def send(self, booking: str, **manner: float) -> None:
        """Send the webhooks of one booking in this manner: `drop`, `double`, `delay_seconds`, `seed`."""
        answer = await self._http.put("/_sandbox/webhooks/manner", json={"booking_id": booking, **manner})
        assert answer.status_code == 200, answer.text

    async def resend(self, booking: str) -> None:
        """Send all webhooks of a booking once more."""
        answer = await self._http.post("/_sandbox/webhooks/resend", json={"booking_id": booking})
        assert answer.status_code == 200, answer.text

    async def messages(self, booking: str) -> list[dict[str, Any]]:
        """The webhooks of a booking, with how often each was tried and what we answered."""
        answer = await self._http.get("/_sandbox/webhooks", params={"booking": booking})
        found: list[dict[str, Any]] = answer.raise_for_status().json()["messages"]
        return found

    async def settle(self, booking: str, outcome: str = "approved") -> None:
        """Decide what was left processing."""
        for intent in await self.intents(booking):
            if intent["state"] == "processing":
                answer = await self._http.post(f"/_sandbox/intents/{intent['id']}/settle", json={"outcome": outcome})
                assert answer.status_code == 200, answer.text

    async def act(self, url: str, choice: str) -> None:
        """What the buyer clicks on the provider's 3-D Secure page."""
        answer = await self._http.post(url, data={"outcome": choice}, follow_redirects=False)
        assert answer.status_code < 400, answer.text


class _Starting:
    """A Temporal client that starts one workflow, and no other."""

    def __init__(self, client: Client, workflow: str) -> None:
        self._client, self._workflow = client, workflow

    async def start_workflow(self, *order: Any, id: str, **options: Any) -> None:
        if id == self._workflow:
            await self._client.start_workflow(*order, id=id, **options)


class BoxOffice:
    """Opens events, knows buyers, and audits everything it has opened."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        # The API closes what was idle for five seconds: who used it at that very moment would get no answer.
        limits = httpx2.Limits(max_connections=400, keepalive_expiry=2)
        self.http = httpx2.AsyncClient(base_url=settings.api_url, timeout=90, limits=limits)
        self.provider = Provider(settings.sandbox_url)
        self._tokens = access_tokens(settings)
        self._organizer = self.somebody(Role.CUSTOMER, Role.ORGANIZER)
        self._events: list[str] = []

    async def __aenter__(self) -> Self:
        self.temporal: Client = await connect_patiently(self.settings)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()
        await self.provider.close()

    def somebody(self, *roles: Role) -> Buyer:
        """A person whose token the identity service could have issued."""
        user_id = uuid4()
        token = self._tokens.issue(Principal(user_id, frozenset(roles or (Role.CUSTOMER,))))
        return Buyer(self.http, user_id, token)

    async def event(
        self,
        *,
        hold_seconds: int = 120,
        rows: int = 3,
        seats_per_row: int = 10,
        standing: int = 100,
        standing_price: int = 3000,
        currency: str = "EUR",
        starts_in: timedelta = timedelta(days=30),
        refund_policy: dict[str, int | None] | None = None,
        exchange_policy: dict[str, int | None] | None = None,
        providers: list[str] | None = None,
    ) -> str:
        """A published event with the seated sections A and B and the general-admission section Standing."""
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
                {"name": "A", "price": 5000, **seated},
                {"name": "B", "price": 4000, **seated},
                {"name": "Standing", "kind": "general", "capacity": standing, "price": standing_price},
            ],
        }
        created = await known(lambda: self._organizer.post("/v1/events", body))
        assert created.status_code == 201, created.text
        event = str(created.json()["id"])
        published = await known(lambda: self._organizer.post(f"/v1/events/{event}/publish"))
        assert published.status_code == 200, published.text
        self._events.append(event)
        return event

    async def call_off(self, event: str) -> None:
        """Stop an event's sales under its buyers' feet: their bookings do not hear of it."""
        engine = open_engine(self.settings.database_url("reservation"), pool_size=1, serves_callers=False)
        async with engine.begin() as connection:
            await connection.execute(text("UPDATE events SET status = 'cancelled' WHERE id = :id"), {"id": event})
        await engine.dispose()

    async def cancel(self, event: str, *, dry_run: bool = False) -> dict[str, Any]:
        """Cancel an event, or learn what that would mean."""
        path = f"/v1/events/{event}/cancel?dry_run={str(dry_run).lower()}"
        answer = await known(lambda: self._organizer.post(path))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def cancellation(self, event: str) -> dict[str, Any]:
        answer = await known(lambda: self._organizer.get(f"/v1/events/{event}/cancellation"))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def house(self, event: str) -> dict[str, Any]:
        """An event's places as everybody sees them."""
        answer = await known(lambda: self.http.get(f"/v1/events/{event}/seats"))
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    async def seat(self, event: str, name: str) -> str:
        """A seat's status as everybody sees it."""
        house = await self.house(event)
        seats = {seat["name"]: seat["status"] for section in house["sections"] for seat in section.get("seats", [])}
        return str(seats[name])

    async def seat_is_not_free(self, event: str, name: str) -> bool:
        return await self.seat(event, name) != "available"

    async def sold(self, event: str, name: str) -> bool:
        return await self.seat(event, name) == "sold"

    async def free_places(self, event: str, section: str) -> int:
        house = await self.house(event)
        return next(int(each["available"]) for each in house["sections"] if each["name"] == section)

    def saga(self, booking: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(workflow_id(UUID(booking)))

    async def redis_knows_the_end(self, booking: str) -> None:
        """Wait until others may have its places: its saga tells Redis a moment after everybody can see its end."""
        await asyncio.wait_for(self.saga(booking).result(), 30)

    def refund_saga(self, refund: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(refund_workflow_id(UUID(refund)))

    def exchange_saga(self, exchange: str) -> WorkflowHandle[Any, Any]:
        return self.temporal.get_workflow_handle(exchange_workflow_id(UUID(exchange)))

    async def revive(
        self, engine: AsyncEngine, saga: WorkflowHandle[Any, Any], *, overdue: timedelta = timedelta(0)
    ) -> None:
        """What a worker does for all, without its grace and for one saga: other tests have ended theirs on purpose."""
        only = cast(Client, _Starting(self.temporal, saga.id))
        await revive(engine, only, booking_policy(self.settings), overdue)

    async def reset(self, handle: WorkflowHandle[Any, Any]) -> None:
        """Let a workflow begin again, as an operator can."""
        await self.temporal.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.settings.temporal_namespace,
                workflow_execution=WorkflowExecution(workflow_id=handle.id),
                reason="an operator wants another try",
                workflow_task_finish_event_id=4,
                request_id=str(uuid4()),
            )
        )

    async def refund_by_hand(self, booking: str) -> None:
        """Give all money back at the provider's own dashboard."""
        for intent in await self.provider.intents(booking):
            answer = await self.provider.as_stripe("/v1/refunds", {"payment_intent": intent["id"]}, self.settings)
            assert answer.status_code == 200, answer.text

    async def sales(self, event: str) -> tuple[int, int, int] | None:
        """What the organizer's figures say: bookings, tickets, revenue."""
        engine = open_engine(self.settings.database_url("analytics"), pool_size=1, serves_callers=False)
        async with engine.connect() as connection:
            found = await connection.execute(
                text("SELECT bookings, tickets, revenue FROM sales WHERE event_id = :id"), {"id": event}
            )
            row = found.one_or_none()
        await engine.dispose()
        return (row.bookings, row.tickets, row.revenue) if row else None

    async def assert_audit_is_clean(self) -> None:
        for event in self._events:
            findings = await audit(self.settings, UUID(event))
            assert not findings, "\n".join(map(str, findings))
