"""The reservation service's steps of a refund: tickets void and places free first, the booking's new state at the end.

Every step is idempotent. Postgres decides; Redis follows, and here it must, since what is sold stays there
until the event is over.
"""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict
from redis.exceptions import RedisError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.reservation.shown_places import ShownPlaces
from adapters.redis.seat_locks import SeatLocks
from db.reservation import redis_sync
from db.reservation.refunds import by_provider, refunds, taken_back
from domain.payments import RefundByProvider
from domain.problems import Refused
from domain.refunds import Refund, RefundOutcome, RefundRequest, RefundState, SeenRefund


class NoteProviderRefund(BaseModel):
    """A refund that the provider made without our request, and of which booking."""

    model_config = ConfigDict(frozen=True)

    booking_id: UUID
    made: RefundByProvider


class LowerRefund(BaseModel):
    """Attributes: amount: what a refund is of, in minor units, where the provider had given back the rest."""

    model_config = ConfigDict(frozen=True)

    refund_id: UUID
    amount: int


class ReturnedTickets:
    """Steps that change a booking whose tickets are given back."""

    def __init__(self, engine: AsyncEngine, locks: SeatLocks) -> None:
        self._engine = engine
        self._shown = ShownPlaces(engine, locks)

    @activity.defn
    async def accept_refund(self, request: RefundRequest) -> RefundOutcome:
        """Make the tickets void and put their places back on sale, in one transaction; then try to update Redis."""
        try:
            async with self._engine.begin() as connection:
                refund, booking = await refunds.accept(connection, request)
                payments = await by_provider.settled_payments(connection, booking.id)
        except Refused as refusal:
            return RefundOutcome(body_sha256=request.body_sha256, problem=refusal.problem)
        try:
            await self._shown.show(booking)
            shown = True
        except RedisError:
            shown = False
            # The money may take days. The sweeper tells Redis before that.
            async with self._engine.begin() as connection:
                await redis_sync.note(connection, booking.id)
        return RefundOutcome(
            body_sha256=request.body_sha256, refund=refund, booking=booking, places_shown=shown, payments=payments
        )

    @activity.defn(name="find_request")  # by which workflows that run know it
    async def take_back_refund(self, refund_id: UUID) -> RefundRequest | None:
        """As `take_back_as_seen`, for workflows that began before it: also a refund that was settled since."""
        return await self._take_back(refund_id)

    @activity.defn
    async def see_refund(self, refund_id: UUID) -> SeenRefund:
        """Whether it is settled, read before the payment service is asked whether it is owed."""
        async with self._engine.connect() as connection:
            refund = await refunds.find(connection, refund_id)
        assert refund
        return SeenRefund(id=refund.id, settled_at=refund.settled_at)

    @activity.defn
    async def take_back_as_seen(self, seen: SeenRefund) -> RefundRequest | None:
        """The money has not gone back after all: the refund is pending again. What it was asked for.

        None if it was settled since it was seen, or while another refund or an exchange of the booking is under way;
        then nothing is changed.
        """
        return await self._take_back(seen.id, seen)

    async def _take_back(self, refund_id: UUID, seen: SeenRefund | None = None) -> RefundRequest | None:
        async with self._engine.begin() as connection:
            if not await taken_back.take_back(connection, refund_id, seen):
                return None
            return await refunds.request_of(connection, refund_id)

    @activity.defn
    async def show_places(self, booking_id: UUID) -> None:
        """Show in Redis which places a booking has left."""
        await self._shown.show_now(booking_id)

    @activity.defn
    async def settled_payments(self, booking_id: UUID) -> list[UUID | None]:
        """Which payments of a booking are not being undone: those of these exchanges, and with None its own."""
        async with self._engine.connect() as connection:
            return list(await by_provider.settled_payments(connection, booking_id))

    @activity.defn
    async def note_provider_refund(self, order: NoteProviderRefund) -> None:
        """Count money that the provider gave back without our request."""
        async with self._engine.begin() as connection:
            await by_provider.note(connection, order.booking_id, order.made)

    @activity.defn
    async def lower_refund(self, order: LowerRefund) -> None:
        """Lower a refund to what was left to give back."""
        async with self._engine.begin() as connection:
            await by_provider.lower(connection, order.refund_id, order.amount)

    @activity.defn
    async def flag_refund(self, refund_id: UUID) -> None:
        """Show that an operator has to look."""
        await self._flag(refund_id, RefundState.NEEDS_ATTENTION)

    @activity.defn
    async def unflag_refund(self, refund_id: UUID) -> None:
        """It goes on."""
        await self._flag(refund_id, RefundState.PENDING)

    async def _flag(self, refund_id: UUID, state: RefundState) -> None:
        async with self._engine.begin() as connection:
            await refunds.flag(connection, refund_id, state)

    @activity.defn
    async def settle_refund(self, refund_id: UUID) -> Refund:
        """The money has gone back: the booking becomes `refunded` or `partially_refunded`."""
        async with self._engine.begin() as connection:
            return await refunds.settle(connection, refund_id)
