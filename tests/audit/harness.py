"""The services' real steps on databases and topics of the test's own, where it may break a guard without harm."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, ParamSpec, TypeVar
from uuid import UUID, uuid4

from confluent_kafka import Consumer, TopicPartition
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.testing import ActivityEnvironment

from activities.payment.payments import Authorize, PaymentActivities
from activities.reservation.bookings import Reinstate, Release, ReservationActivities, StartPayment, Step
from adapters.kafka.client import OutgoingMessage, Publisher
from adapters.kafka.cloud_events import cloud_event_headers, read_cloud_event
from adapters.kafka.subscriber import IncomingMessage, Partition
from adapters.redis.hold_quota import UNLIMITED, HoldQuota
from adapters.redis.seat_locks import SeatLocks, epoch_key
from audit.connections import Connections
from audit.run import find_violations
from config.settings import Service
from db import outbox
from db.outbox import BUCKETS, OutboxMessage
from domain.bookings import Booking, BookingRequest, BookingStatus
from domain.money import Money
from domain.payment_gateway import PaymentGateway
from temporal import search_attributes
from tests.db import booking_steps
from tests.waiting import eventually
from workers.consumers.analytics import Analytics
from workflows.ids import booking_workflow_id, late_payment_workflow_id

P = ParamSpec("P")
T = TypeVar("T")

STATUS = BookingStatus
PARTITIONS = 2  # of each topic: an audit asks the broker about each of them


class Harness(NamedTuple):
    """Attributes: prefix: what the names of its topics and groups begin with."""

    connections: Connections
    locks: SeatLocks
    gateway: PaymentGateway
    publisher: Publisher
    bootstrap: str
    prefix: str

    async def finds(self) -> set[tuple[str, str]]:
        """The broken invariants and their subjects, as if Redis had been loaded long ago."""
        await self.redis.set(epoch_key(self.event), 1, xx=True, keepttl=True)
        return {(found.invariant, found.subject) for found in await find_violations(self.connections, again_after=0.1)}

    @property
    def event(self) -> UUID:
        assert self.connections.event_ids
        return self.connections.event_ids[0]

    @property
    def redis(self) -> Redis:
        return self.connections.redis

    @property
    def temporal(self) -> Client:
        return self.connections.temporal

    def database(self, service: Service) -> AsyncEngine:
        return self.connections.databases[service]

    async def sql(self, service: Service, statement: str, **values: object) -> None:
        """Change a database directly, as no service does."""
        async with self.database(service).begin() as connection:
            for each in statement.split(";\n"):
                await connection.execute(text(each), {k: v for k, v in values.items() if f":{k}" in each})

    # The services' steps

    def seats(self, locks: SeatLocks | None = None) -> ReservationActivities:
        quota = HoldQuota(self.connections.redis, UNLIMITED)
        window = self.connections.payment_window
        return ReservationActivities(self.database("reservation"), locks or self.locks, quota, window)

    def money(self, gateway: PaymentGateway | None = None) -> PaymentActivities:
        return PaymentActivities(self.database("payment"), {"stripe": gateway or self.gateway})

    async def hold(self, *seats: str, locks: SeatLocks | None = None, **quantities: int) -> Booking | None:
        """Hold in the loaded event; None if the places are taken."""
        request = BookingRequest(
            id=uuid4(),
            user_id=uuid4(),
            event_id=self.event,
            seats=seats,
            quantities=quantities,
            body_sha256="",
            hold_seconds=120,
        )
        return (await step(self.seats(locks).hold, request)).booking

    async def held(self, *seats: str, locks: SeatLocks | None = None, **quantities: int) -> Booking:
        booking = await self.hold(*seats, locks=locks, **quantities)
        assert booking
        return booking

    async def authorized(self, *seats: str, gateway: PaymentGateway | None = None, currency: str = "") -> Booking:
        """Hold and reserve the money, in the booking's currency or in another one."""
        booking = await self.held(*seats)
        booking = await step(self.seats().start_payment, StartPayment(booking=booking, window=timedelta(minutes=1)))
        await self.authorize(booking, gateway, currency)
        return booking

    async def authorize(self, booking: Booking, gateway: PaymentGateway | None = None, currency: str = "") -> None:
        order = Authorize(
            booking_id=booking.id,
            amount=Money(amount=booking.amount, currency=currency or booking.currency),
            provider="stripe",
            payment_method="pm_card_visa",
            return_url="https://shop.example.test/",
            deadline=datetime.now(UTC) + timedelta(minutes=1),
        )
        await step(self.money(gateway).authorize, order)

    async def bought(self, *seats: str, gateway: PaymentGateway | None = None) -> Booking:
        """Hold, pay and get the tickets."""
        booking = await self.authorized(*seats, gateway=gateway)
        assert await step(self.seats().commit, Step(booking=booking)) is None
        await step(self.money(gateway).capture, booking.id)
        return await step(self.seats().issue, Step(booking=booking))

    async def end(
        self, booking: Booking, locks: SeatLocks | None = None, to: BookingStatus = STATUS.CANCELLED
    ) -> Booking:
        """Release the places, as for a buyer who cancels."""
        return await step(self.seats(locks).release, Release(booking=booking, to=to))

    async def reinstated(self, *seats: str) -> Booking:
        """An expired booking that is back, as its late payment brings it back before it takes the money."""
        expired = await self.end(await self.held(*seats), to=STATUS.EXPIRED)
        back = await step(self.seats().reinstate, Reinstate(booking=expired, window=timedelta(minutes=1)))
        assert back.booking
        return back.booking

    async def cancelled(self, *seats: str, **quantities: int) -> Booking:
        return await self.end(await self.held(*seats, locks=None, **quantities))

    async def saga(self, booking: Booking, *, shows: BookingStatus | None = None) -> WorkflowHandle[Any, Any]:
        """Start a workflow for the booking on a queue without workers: it runs, and does nothing."""
        return await self._idle("Booking", booking_workflow_id(booking.id), booking, shows or booking.status)

    async def late_payment(self, booking: Booking, *, shows: BookingStatus | None = None) -> WorkflowHandle[Any, Any]:
        """As `saga`, a workflow that watches an intent of the booking; it shows a status if it has waited once."""
        return await self._idle("LatePayment", late_payment_workflow_id(f"pi_{uuid4().hex}"), booking, shows)

    async def _idle(
        self, workflow: str, id: str, booking: Booking, shows: BookingStatus | None
    ) -> WorkflowHandle[Any, Any]:
        found = [
            SearchAttributePair(search_attributes.EVENT, str(booking.event_id)),
            SearchAttributePair(search_attributes.BOOKING, str(booking.id)),
        ]
        if shows:
            found.append(SearchAttributePair(search_attributes.STATUS, shows))
        return await self.idle(workflow, id, booking, found)

    async def idle(
        self, workflow: str, id: str, given: object, found: Sequence[SearchAttributePair[str]] = ()
    ) -> WorkflowHandle[Any, Any]:
        """Start a workflow on a queue without workers."""
        saga: WorkflowHandle[Any, Any] = await self.temporal.start_workflow(
            workflow, given, id=id, task_queue=self.prefix, search_attributes=TypedSearchAttributes(found)
        )
        await self.listed(f"WorkflowId = '{saga.id}'")
        return saga

    async def listed(self, query: str) -> None:
        """Wait until Temporal's list, which lags a little, has the workflow."""

        async def is_listed() -> bool:
            return (await self.temporal.count_workflows(query)).count > 0

        await eventually(is_listed)

    # The way of a domain event

    async def waiting(self) -> list[OutboxMessage]:
        async with self.database("reservation").connect() as connection:
            return await outbox.waiting(connection, range(BUCKETS), without=[], limit=100)

    async def publish(self, message: OutboxMessage, topic: str = "") -> None:
        headers = cloud_event_headers(
            id=message.domain_event_id,
            source="/seatwright/reservation",
            type=message.type,
            time=message.occurred_at,
            subject=message.aggregate_id,
            sequence=message.sequence,
            traceparent=None,
        )
        key, body = str(message.aggregate_id).encode(), message.data.encode()
        await self.publisher.publish(OutgoingMessage(f"{self.prefix}{topic or message.topic}", key, body, headers))

    async def forget(self, message: OutboxMessage) -> None:
        async with self.database("reservation").begin() as connection:
            await outbox.delete(connection, [message.id])

    async def relay(self) -> list[OutboxMessage]:
        """Publish the outbox, then empty it."""
        messages = await self.waiting()
        for message in messages:
            await self.publish(message)
            await self.forget(message)
        return messages

    async def analyse(self, messages: list[OutboxMessage]) -> None:
        """Handle messages like analytics."""
        analytics = Analytics(self.database("analytics"))
        for message in messages:
            headers = cloud_event_headers(
                id=message.domain_event_id,
                source="",
                type=message.type,
                time=message.occurred_at,
                subject=message.aggregate_id,
                sequence=message.sequence,
                traceparent=None,
            )
            event = read_cloud_event(IncomingMessage(Partition("", 0), 0, None, message.data.encode(), headers))
            assert event
            await analytics.handle(event)

    def notify(self) -> None:
        """Commit all offsets, as notification does after its work."""
        topic = f"{self.prefix}reservation.events"
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": f"{self.prefix}notification"})
        ends = [consumer.get_watermark_offsets(TopicPartition(topic, number))[1] for number in range(PARTITIONS)]
        done = [TopicPartition(topic, number, end) for number, end in enumerate(ends)]
        consumer.commit(offsets=done, asynchronous=False)
        consumer.close()


async def step(activity: Callable[P, Awaitable[T]], *arguments: P.args, **named: P.kwargs) -> T:
    """Run an activity as a worker does."""
    done: T = await ActivityEnvironment().run(activity, *arguments, **named)
    return done


on_sale = booking_steps.on_sale
