"""The reservation service's steps of a booking: Redis admits, Postgres decides.

Every step is idempotent. In each the transaction in Postgres comes first where something is decided, and Redis follows;
what Redis misses costs a buyer a retry, never a seat. A missed end is stored, and sent when Redis is back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.reservation.cold_events import REDIS_OUTLASTS_HOLD, load_event
from activities.reservation.event_starts import EventStarts
from activities.reservation.shown_places import ShownPlaces, places_of
from adapters.redis.hold_quota import HoldQuota
from adapters.redis.seat_locks import ColdEvent, Places, SeatLocks
from db.engine import autocommit
from db.reservation import redis_sync
from db.reservation.bookings import begun_payment, bookings, outcomes, reinstatement, requests
from db.reservation.bookings.bookings import identity
from domain.bookings import (
    OVER,
    Booking,
    BookingRequest,
    BookingStatus,
    HoldOutcome,
    PaymentId,
    seats_unavailable,
)
from domain.domain_events import (
    BookingActionRequired,
    BookingEvent,
    BookingNeedsAttention,
    BookingPaying,
)
from domain.problems import Problem, ProblemType, Refused

_TRIES_OF_REDIS = 4  # after Postgres has decided; no caller waits longer for Redis
_TOLD_AT_ONCE = 200
_WAIT_FOR_LOAD = 130  # tries of about 50 ms, while another worker loads a cold event
_TRIES_OF_OTHER_SEATS = 3  # that another buyer takes while we read


class Step(BaseModel):
    """A change of state that a saga orders: which booking, and the version it starts from."""

    model_config = ConfigDict(frozen=True)

    booking: Booking


class StartPayment(Step):
    """Attributes: window: how long the attempt may keep the places; payment: by what its repeats are recognized."""

    window: timedelta
    payment: PaymentId | None = None


class RequireAction(Step):
    """Attributes: action_url: where the buyer has to act; None where the provider has not decided yet."""

    action_url: str | None = None


class KeepHold(Step):
    """Attributes: problem: why the payment failed."""

    problem: Problem | None = None


class Release(Step):
    """Attributes: to: how the booking ends; reason: why, when it failed; problem: the same in words."""

    to: BookingStatus
    reason: ProblemType | None = None
    problem: Problem | None = None


class Reinstate(Step):
    """Attributes: window: how long the payment may take from here."""

    window: timedelta


class Reinstatement(BaseModel):
    """A booking that is back, perhaps on other seats, or why it cannot be."""

    model_config = ConfigDict(frozen=True)

    booking: Booking | None = None
    problem: Problem | None = None


class NeedsAttention(Step):
    """Attributes: step: what keeps failing."""

    step: str


class ReservationActivities:
    """Steps that change a booking and its places."""

    def __init__(self, engine: AsyncEngine, locks: SeatLocks, quota: HoldQuota, payment_window: timedelta) -> None:
        """The steps of one worker.

        Args:
            engine: The reservation service's database.
            locks: Redis.
            quota: What users hold without a payment.
            payment_window: How long one payment may take.
        """
        self._engine = engine
        self._payment_window = payment_window
        self._locks = locks
        self._quota = quota
        self._shown = ShownPlaces(engine, locks)
        self._starts = EventStarts(engine)

    @activity.defn
    async def hold(self, request: BookingRequest) -> HoldOutcome:
        """Hold all places or none, in Redis and then in Postgres; both refuse by naming what is taken.

        A booking that exists already is returned as it is, with the digest of its own request, and nothing is held for
        it: its places may be free again, or others. A crash in between leaves a hold in Redis that the next try takes
        over, and that ends by its TTL if there is no next try.
        """
        known = booking = await self._find(request.id)
        if booking is None:
            try:
                booking = await self._hold(request)
            except Refused as refusal:
                return HoldOutcome(body_sha256=request.body_sha256, problem=refusal.problem)
        if booking.status not in OVER:
            await self._quota.made(booking.event_id, booking.id, booking.size, booking.expires_at)
        # An earlier try may have made it for another body with the same key, after its caller was told a refusal.
        is_earlier = known or (booking.seats, booking.quantities) != (request.seats, request.quantities)
        digest = await self._digest(request.id) if is_earlier else request.body_sha256
        return HoldOutcome(body_sha256=digest, booking=booking)

    async def _digest(self, booking_id: UUID) -> str:
        async with autocommit(self._engine) as connection:
            return await requests.digest_of(connection, booking_id)

    async def _hold(self, request: BookingRequest) -> Booking:
        """Hold what no booking has; one that another try of this step has made since is returned as it is."""
        places = Places(request.event_id, request.id, request.seats, request.quantities)
        try:
            await self.admit(places, timedelta(seconds=request.hold_seconds) + REDIS_OUTLASTS_HOLD)
            booking = await self._claim(request)
        except Refused:
            known = await self._find(request.id)
            if known is None:
                await self._locks.release(places)
                raise
            booking = known  # claimed by an earlier try whose result was lost
        if booking.status in OVER:  # an old worker repeats its hold: leave nothing behind
            await self._shown.show(booking, *request.seats)
        return booking

    async def admit(self, places: Places, ttl: timedelta) -> None:
        """Hold places in Redis, loading a cold event first; not a step of any saga.

        A cold event that is not on sale, or no longer, is refused: its keys may have ended, so it is not loaded again.

        Raises:
            Refused: Others have some of them, or the event is not on sale.
        """
        for _ in range(_WAIT_FOR_LOAD):
            try:
                taken = await self._locks.hold(places, ttl)
            except ColdEvent:
                if await self._locks.may_load(places.event_id):
                    await load_event(self._engine, self._locks, places.event_id, self._payment_window)
                else:
                    await asyncio.sleep(random.uniform(0.02, 0.08))
                continue
            if taken:
                raise seats_unavailable(taken)
            return
        raise ColdEvent(f"event {places.event_id} stays cold")

    async def _find(self, booking_id: UUID) -> Booking | None:
        async with autocommit(self._engine) as connection:
            return await bookings.find(connection, booking_id)

    async def _claim(self, request: BookingRequest) -> Booking:
        async with self._engine.begin() as connection:
            return await bookings.claim(connection, request)

    @activity.defn
    async def look(self, booking_id: UUID) -> Booking:
        """The booking as its row has it."""
        booking = await self._find(booking_id)
        if booking is None:
            raise ValueError(f"there is no booking {booking_id}")
        return booking

    @activity.defn
    async def start_payment(self, order: StartPayment) -> Booking:
        """Keep the places for as long as one payment attempt may take: `held` → `paying`.

        Repeated by a workflow task whose worker died, it may find the payment waiting for its buyer already, which the
        same task has let it do: then the booking as it is.
        """

        def paying(booking: Booking) -> BookingEvent:
            return BookingPaying(**identity(booking))

        try:
            booking = await self._move(order, BookingStatus.PAYING, paying, payment=order.payment)
        except bookings.StaleStep:
            booking = await self.look(order.booking.id)
            if (booking.status, booking.version) != (BookingStatus.ACTION_REQUIRED, order.booking.version + 2):
                raise
            async with self._engine.begin() as connection:
                await begun_payment.remember(connection, order.booking.id, order.booking.version, order.payment)
        starts_at = await self._starts.of(booking.event_id)
        extending = self._locks.extend(places_of(booking), order.window + REDIS_OUTLASTS_HOLD, starts_at)
        if not await self._reaches_redis(extending):
            activity.logger.warning("redis keeps the hold no longer than it did; Postgres keeps it all the same")
        return booking

    @activity.defn
    async def reinstate(self, order: Reinstate) -> Reinstatement:
        """Bring an expired booking back on its own places, or else, if its buyer agreed, on the nearest equal seats."""
        known = await self._find(order.booking.id)
        if known and known.version != order.booking.version:  # done by an earlier try, whose answer was lost
            return Reinstatement(booking=await self._reinstated(order, known.seats))
        seats, taken = order.booking.seats, set[str]()
        for _ in range(1 + _TRIES_OF_OTHER_SEATS):
            places = Places(order.booking.event_id, order.booking.id, seats, order.booking.quantities)
            try:
                await self.admit(places, order.window + REDIS_OUTLASTS_HOLD)
                return Reinstatement(booking=await self._reinstated(order, seats))
            except Refused as refusal:
                await self._locks.release(places)
                problem = refusal.problem
            taken |= set(problem.members.get("seats", ()))
            async with self._engine.connect() as connection:
                others = await reinstatement.alternatives(connection, order.booking, taken)
            if problem.type is not ProblemType.SEATS_UNAVAILABLE or others is None:
                break
            seats = others
        return Reinstatement(problem=problem)

    async def _reinstated(self, order: Reinstate, seats: tuple[str, ...]) -> Booking:
        try:
            async with self._engine.begin() as connection:
                booking = await reinstatement.reinstate(connection, order.booking, seats, order.window)
        except bookings.StaleStep:
            await self._withdraw(await self.look(order.booking.id), seats)
            raise
        await self._withdraw(booking, seats)
        return booking

    async def _withdraw(self, booking: Booking, admitted: tuple[str, ...]) -> None:
        """Free in Redis what was admitted for a booking that came back on other seats first: for a rival payment."""
        others = tuple(seat for seat in admitted if seat not in booking.seats)
        late = Places(booking.event_id, booking.id, others, {})
        if booking.status in OVER or (others and not await self._locks.release(late)):
            await self._shown.show_now(booking.id, *admitted)

    @activity.defn
    async def require_action(self, order: RequireAction) -> Booking:
        """The buyer has to act at the provider: `paying` → `action_required`."""
        return await self._move(
            order,
            BookingStatus.ACTION_REQUIRED,
            lambda booking: BookingActionRequired(**identity(booking)),
            action_url=order.action_url,
        )

    @activity.defn
    async def resume_payment(self, order: Step) -> Booking:
        """The buyer has acted: `action_required` → `paying`."""
        return await self._move(order, BookingStatus.PAYING, lambda booking: BookingPaying(**identity(booking)))

    @activity.defn
    async def keep_hold(self, order: KeepHold) -> Booking:
        """A payment failed and the seats stay: back to `held`."""
        return await self._move(order, BookingStatus.HELD, bookings.held, problem=order.problem)

    @activity.defn
    async def forbid_tickets(self, booking_id: UUID) -> Booking:
        """Before money goes back: a worker left behind in mid-payment cannot issue tickets for it any more.

        Returns:
            The booking as it is; where it has its tickets already, the money must not go back.
        """
        async with self._engine.begin() as connection:
            await bookings.forbid_tickets(connection, booking_id)
        return await self.look(booking_id)

    @activity.defn
    async def commit(self, order: Step) -> Problem | None:
        """Turn the claim into a sale before any money is taken.

        Returns:
            Why that is impossible, or None: the claim is lost, the event or the booking is cancelled, or the money is
            being returned.
        """
        try:
            async with self._engine.begin() as connection:
                await bookings.sell(connection, order.booking)
        except Refused as refusal:
            return refusal.problem
        return None

    @activity.defn
    async def issue(self, order: Step) -> Booking:
        """Issue the tickets of a booking that is paid: → `confirmed`."""
        async with self._engine.begin() as connection:
            booking = await outcomes.confirm(connection, order.booking)
        await self._tell_end(booking)
        await self._quota.forget(booking.user_id, booking.event_id, booking.id)
        return booking

    @activity.defn
    async def release(self, order: Release) -> Booking:
        """Give the places back and end the booking, in one transaction with its outcome event."""
        async with self._engine.begin() as connection:
            booking = await outcomes.end(
                connection, order.booking, order.to, reason=order.reason, problem=order.problem
            )
        await self._tell_end(booking)
        await self._quota.let_go(booking.user_id, booking.event_id, booking.id)
        return booking

    @activity.defn
    async def flag(self, order: NeedsAttention) -> Booking:
        """Show that an operator has to look: → `needs_attention`."""
        return await self._move(
            order,
            BookingStatus.NEEDS_ATTENTION,
            lambda booking: BookingNeedsAttention(**identity(booking), step=order.step),
        )

    async def _move(
        self,
        order: Step,
        to: BookingStatus,
        tells: Callable[[Booking], BookingEvent],
        *,
        action_url: str | None = None,
        problem: Problem | None = None,
        payment: PaymentId | None = None,
    ) -> Booking:
        known = order.booking
        async with self._engine.begin() as connection:
            return await bookings.move(
                connection,
                known.id,
                version=known.version,
                to=to,
                tells=tells,
                action_url=action_url,
                problem=problem,
                payment=payment,
            )

    async def send_pending_redis_updates(self) -> None:
        """Send Redis the ends of bookings that it has missed; not a step of any saga.

        Raises:
            RedisError: Redis is still away.
        """
        async with self._engine.connect() as connection:
            missed = await redis_sync.find(connection, limit=_TOLD_AT_ONCE)
        for booking_id in missed:
            booking = await self._shown.show_now(booking_id)
            async with self._engine.begin() as connection:
                await redis_sync.forget(connection, booking_id, booking.version)

    async def _tell_end(self, booking: Booking) -> None:
        if not await self._reaches_redis(self._shown.show(booking)):
            async with self._engine.begin() as connection:
                await redis_sync.note(connection, booking.id)
            activity.logger.warning("redis was not told of the end; it will be when it is back")

    async def _reaches_redis(self, telling: Awaitable[object]) -> bool:
        """Whether Redis has received it; after a few tries of the activity it is given up."""
        try:
            await telling
        except RedisError:
            if activity.info().attempt < _TRIES_OF_REDIS:
                raise
            return False
        return True
