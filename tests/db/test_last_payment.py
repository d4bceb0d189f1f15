"""A booking's row names the command of its last payment, and never that of an earlier one."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings import last_payment
from domain.bookings import BookingStatus, PaymentId
from tests.db.booking_steps import claim, move, on_sale

_S = BookingStatus
FIRST, SECOND = (PaymentId(command=each, body_sha256=f"body of {each}") for each in ("first", "second"))


@pytest.mark.parametrize(
    ("way", "given", "named"),
    [
        ((_S.HELD, _S.PAYING), SECOND, SECOND),
        ((_S.HELD, _S.PAYING), None, None),
        ((_S.HELD, _S.PAYING, _S.ACTION_REQUIRED, _S.PAYING), None, None),
        ((_S.ACTION_REQUIRED, _S.PAYING), None, FIRST),
        ((_S.EXPIRED, _S.PAYING), None, FIRST),
        ((_S.HELD,), None, FIRST),
        ((_S.EXPIRED,), None, FIRST),
    ],
)
async def test_a_payment_that_begins_replaces_the_command_and_one_that_goes_on_keeps_it(
    reservation: AsyncEngine, way: tuple[BookingStatus, ...], given: PaymentId | None, named: PaymentId | None
) -> None:
    go = partial(move, reservation)
    booking = await go(await claim(reservation, await on_sale(reservation), "A-1-1"), _S.PAYING, payment=FIRST)

    for to in way:
        booking = await go(booking, to, payment=given)

    async with reservation.connect() as connection:
        found = await last_payment.find(connection, booking.id)
    assert found
    assert found.payment == named
