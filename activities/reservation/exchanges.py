"""The reservation service's steps of an exchange: the new seat held first, the old one released last.

Every step is idempotent. Redis admits to the new seat before Postgres claims it, and follows where seats change hands.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.reservation.cold_events import REDIS_OUTLASTS_HOLD
from activities.reservation.shown_places import ShownPlaces
from adapters.redis.seat_locks import Places, SeatLocks
from db.reservation.exchanges import exchanges, plans
from domain.exchanges import Exchange, ExchangeOutcome, ExchangeRequest
from domain.problems import Problem, Refused

Admit = Callable[[Places, timedelta], Awaitable[None]]
"""Holds places in Redis for a time, loading the event first where it is cold; raises Refused where others have them."""


class BuyerActs(BaseModel):
    """Attributes: action_url: where; None where the provider has not decided yet."""

    model_config = ConfigDict(frozen=True)

    exchange_id: UUID
    action_url: str | None


class Fail(BaseModel):
    """Attributes: problem: why the exchange fails."""

    model_config = ConfigDict(frozen=True)

    exchange_id: UUID
    problem: Problem


class ExchangeActivities:
    """Steps that change a booking one of whose seats is exchanged."""

    def __init__(self, engine: AsyncEngine, locks: SeatLocks, admit: Admit) -> None:
        self._engine = engine
        self._shown = ShownPlaces(engine, locks)
        self._admit = admit

    @activity.defn
    async def hold_new_seat(self, request: ExchangeRequest) -> ExchangeOutcome:
        """Hold the new seat, in Redis and then in Postgres; repeated, the exchange as it stands.

        What Redis holds for a try that dies before Postgres has it ends by its TTL.
        """
        try:
            exchange = await self._find(request.id) or await self._begin(request)
        except Refused as refusal:
            known = await self._find(request.id)
            if known is None:
                return ExchangeOutcome(body_sha256=request.body_sha256, problem=refusal.problem)
            exchange = known  # begun by an earlier try, which is still at work
        if exchange.is_over:  # an old worker repeats its hold: leave nothing behind
            await self.show_seats(exchange.id)
        return ExchangeOutcome(body_sha256=request.body_sha256, exchange=exchange)

    async def _begin(self, request: ExchangeRequest) -> Exchange:
        async with self._engine.connect() as connection:
            await plans.plan(connection, request)  # a seat of the booking's own must not come to Redis
        seat = Places(request.event_id, request.booking_id, [request.seat], {})
        try:
            await self._admit(seat, request.window + REDIS_OUTLASTS_HOLD)
            async with self._engine.begin() as connection:
                return await exchanges.begin(connection, request)
        except Refused:
            if await self._find(request.id) is None:
                await self._shown.show_now(request.booking_id, request.seat)
            raise

    async def _find(self, exchange_id: UUID) -> Exchange | None:
        async with self._engine.connect() as connection:
            return await exchanges.find(connection, exchange_id)

    @activity.defn
    async def look_at_exchange(self, exchange_id: UUID) -> Exchange:
        """The exchange as its row has it."""
        return await self._known(exchange_id)

    @activity.defn
    async def await_buyer(self, order: BuyerActs) -> Exchange:
        """The buyer has to act at the payment provider."""
        async with self._engine.begin() as connection:
            return await exchanges.await_buyer(connection, order.exchange_id, order.action_url)

    @activity.defn
    async def commit_exchange(self, exchange_id: UUID) -> ExchangeOutcome:
        """Make sure, before the difference is taken, that the event is still on sale."""
        try:
            async with self._engine.begin() as connection:
                return ExchangeOutcome(body_sha256="", exchange=await exchanges.commit(connection, exchange_id))
        except Refused as refusal:
            return ExchangeOutcome(body_sha256="", problem=refusal.problem)

    @activity.defn
    async def swap_seats(self, exchange_id: UUID) -> Exchange:
        """Void the old ticket, issue the new one, and release the old seat, in one transaction.

        An equal or cheaper seat of an event that is not on sale any more is released instead.
        """
        async with self._engine.begin() as connection:
            return await exchanges.swap(connection, exchange_id)

    @activity.defn
    async def show_seats(self, exchange_id: UUID) -> None:
        """Show in Redis which of the two seats the booking has."""
        exchange = await self._known(exchange_id)
        await self._shown.show_now(exchange.booking_id, exchange.old_seat, exchange.seat)

    @activity.defn
    async def fail_exchange(self, order: Fail) -> Exchange:
        """Release the new seat; the ticket stays as it was."""
        async with self._engine.begin() as connection:
            return await exchanges.fail(connection, order.exchange_id, order.problem)

    async def _known(self, exchange_id: UUID) -> Exchange:
        exchange = await self._find(exchange_id)
        if exchange is None:
            raise ValueError(f"there is no exchange {exchange_id}")
        return exchange

    @activity.defn
    async def flag_exchange(self, exchange_id: UUID) -> None:
        """Show that an operator has to look."""
        await self._flag(exchange_id, needs_attention=True)

    @activity.defn
    async def unflag_exchange(self, exchange_id: UUID) -> None:
        """It goes on."""
        await self._flag(exchange_id, needs_attention=False)

    async def _flag(self, exchange_id: UUID, *, needs_attention: bool) -> None:
        async with self._engine.begin() as connection:
            await exchanges.flag(connection, exchange_id, needs_attention)
