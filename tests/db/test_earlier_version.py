"""The version from before a migration goes on working after it, until the new version has replaced it."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from domain.bookings import BookingStatus
from tests.db.booking_steps import claim, confirm, move, on_sale

_OF_0_1_0 = text(
    "INSERT INTO exchanges (id, booking_id, requested_by, ticket, seat, body_sha256, old_seat, difference, currency)"
    " VALUES (:id, :booking, :by, :ticket, 'A-1-2', '', 'A-1-1', :difference, 'EUR') RETURNING returns, fee"
)


@pytest.mark.parametrize(("difference", "returns"), [(-1000, 1000), (0, 0), (1000, 0)])
async def test_an_exchange_that_the_earlier_version_begins_gives_the_difference_back(
    reservation: AsyncEngine, difference: int, returns: int
) -> None:
    held = await claim(reservation, await on_sale(reservation), "A-1-1")
    booking = await confirm(reservation, await move(reservation, held, BookingStatus.PAYING))
    order = {"id": uuid4(), "booking": booking.id, "by": booking.user_id, "ticket": booking.tickets[0].id}
    async with reservation.begin() as connection:
        row = (await connection.execute(_OF_0_1_0, order | {"difference": difference})).one()
    assert (row.returns, row.fee) == (returns, 0)
