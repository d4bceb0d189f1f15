"""A booking's row can be rebuilt from its domain events, whatever life it has had."""

from __future__ import annotations

import random

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings.bookings import StaleStep
from domain.bookings import EDGES, Booking, BookingStatus
from domain.rebuilding import rebuild
from tests.db.booking_steps import claim, confirm, find, history, move, on_sale
from tests.db.sharing import reservation_url
from tests.scale import sample

__all__ = ["reservation_url"]

TOLD = {
    BookingStatus.HELD,
    BookingStatus.PAYING,
    BookingStatus.ACTION_REQUIRED,
    BookingStatus.CONFIRMED,
    BookingStatus.CANCELLED,
    BookingStatus.EXPIRED,
    BookingStatus.FAILED,
    BookingStatus.NEEDS_ATTENTION,
}
"""States that have their domain events; refunds will follow."""


async def step(engine: AsyncEngine, booking: Booking, to: BookingStatus) -> Booking:
    return await (confirm(engine, booking) if to is BookingStatus.CONFIRMED else move(engine, booking, to))


async def test_a_booking_paid_with_the_second_card_is_rebuilt_with_its_tickets(reservation: AsyncEngine) -> None:
    booking = await claim(reservation, await on_sale(reservation), "A-1-1", "A-1-2", Standing=2)
    for to in ("paying", "held", "paying", "action_required", "paying", "confirmed"):
        booking = await step(reservation, booking, BookingStatus(to))
    row = await find(reservation, booking)
    assert (row.status, row.version, len(row.tickets)) == (BookingStatus.CONFIRMED, 7, 4)
    assert rebuild(await history(reservation, booking)) == row


@pytest.mark.parametrize("seed", sample(range(12), 4, of="lives of bookings"))
async def test_any_life_along_legal_edges_can_be_rebuilt_at_each_step(reservation: AsyncEngine, seed: int) -> None:
    dice = random.Random(seed)
    booking = await claim(reservation, await on_sale(reservation), "A-1-1", Garden=1)
    while choices := sorted(EDGES[booking.status] & TOLD):
        if booking.version > 25:
            break
        booking = await step(reservation, booking, dice.choice(choices))
        row = await find(reservation, booking)
        told = rebuild(await history(reservation, booking))
        # A booking shows its tickets only where they are good for something.
        assert told.model_copy(update={"tickets": row.tickets}) == row


async def test_a_step_that_is_repeated_is_told_once_and_one_that_is_late_not_at_all(reservation: AsyncEngine) -> None:
    held = await claim(reservation, await on_sale(reservation), "A-1-1")
    paying = await move(reservation, held, BookingStatus.PAYING)
    assert await move(reservation, held, BookingStatus.PAYING) == paying
    with pytest.raises(StaleStep):
        await move(reservation, held, BookingStatus.EXPIRED)
    assert [event.type for event in await history(reservation, held)] == ["booking.held", "booking.paying"]
    assert rebuild(await history(reservation, held)) == paying
