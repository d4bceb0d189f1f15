"""Shows Redis which places a booking has bought; others that it had there are free again, but for a claimed one.

A process may stand still between its read of Postgres and its call of Redis, while others change the booking. So each
call names the booking's version, and Redis refuses it if it has been shown a later one. A Redis that was emptied knows
no versions: then the booking is read again after a call that has changed more than its hold.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from activities.reservation.event_starts import EventStarts
from adapters.redis.seat_locks import Places, SeatLocks
from db.engine import autocommit
from db.reservation.bookings import bookings
from db.reservation.exchanges import exchanges
from domain.bookings import OVER, PAID, Booking


class ShownPlaces:
    """Each call may be repeated, in any order with those of other processes."""

    def __init__(self, engine: AsyncEngine, locks: SeatLocks) -> None:
        self._engine = engine
        self._locks = locks
        self._starts = EventStarts(engine)

    async def show(self, booking: Booking, *others: str) -> Booking:
        """Show the places of a booking; those of one that is not over are shown at its end.

        Args:
            booking: As it was read from its row.
            others: Seats that it may have in Redis, besides its own.

        Returns:
            The booking that is shown, perhaps as it was read again.

        Raises:
            RedisError: Redis may not have got it.
        """
        while booking.status in OVER and not await self._is_shown(booking, others):
            known, booking = booking, await self._read(booking.id)
            if booking.version == known.version:
                break
            others = (*others, *known.seats)
        return booking

    async def show_now(self, booking_id: UUID, *others: str) -> Booking:
        """As `show`, for the booking as its row has it now."""
        return await self.show(await self._read(booking_id), *others)

    async def _is_shown(self, booking: Booking, others: tuple[str, ...]) -> bool:
        seats = tuple(dict.fromkeys((*booking.seats, *others)))
        if booking.status not in PAID:
            return await self._locks.release(places_of(booking)._replace(seats=seats), booking.version)
        bought = [ticket.seat for ticket in booking.tickets if ticket.seat]
        in_sections = Counter(ticket.section for ticket in booking.tickets if not ticket.seat)
        quantities = {section: in_sections[section] for section in booking.quantities}
        return await self._locks.show(
            Places(booking.event_id, booking.id, bought, quantities),
            booking.version,
            await self._starts.of(booking.event_id),
            free=await self._free(booking.id, [seat for seat in seats if seat not in bought]),
        )

    async def _free(self, booking_id: UUID, not_bought: list[str]) -> list[str]:
        """Those of its seats that are free, without the new seat of an exchange under way, which it has claimed."""
        if not not_bought:  # so it is with every sale: it needs no further read
            return []
        async with autocommit(self._engine) as connection:
            claimed = await exchanges.seat_in_exchange(connection, booking_id)
        return [seat for seat in not_bought if seat != claimed]

    async def _read(self, booking_id: UUID) -> Booking:
        async with autocommit(self._engine) as connection:
            booking = await bookings.find(connection, booking_id)
        assert booking, f"there is no booking {booking_id}"
        return booking


def places_of(booking: Booking) -> Places:
    """All places that a booking asked for, or has got instead."""
    return Places(booking.event_id, booking.id, booking.seats, booking.quantities)
