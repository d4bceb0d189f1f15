"""A booking's row names the command of its last payment, and never that of an earlier one."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation.bookings import begun_payment, last_payment
from domain.bookings import Booking, BookingStatus, PaymentId
from tests.db.booking_steps import claim, move, on_sale
from tests.db.sharing import reservation_url

__all__ = ["reservation_url"]

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

    assert await named_by(reservation, booking) == named


async def named_by(reservation: AsyncEngine, booking: Booking) -> PaymentId | None:
    async with reservation.connect() as connection:
        found = await last_payment.find(connection, booking.id)
    assert found
    return found.payment


@pytest.mark.parametrize(("given", "named"), [(SECOND, SECOND), (FIRST, FIRST), (None, FIRST)])
async def test_a_payment_of_a_lost_worker_names_the_command_that_goes_on_with_it(
    reservation: AsyncEngine, given: PaymentId | None, named: PaymentId | None
) -> None:
    held = await claim(reservation, await on_sale(reservation), "A-1-1")
    begun = await move(reservation, held, _S.PAYING, payment=FIRST)
    assert await move(reservation, held, _S.PAYING, payment=given) == begun
    assert await named_by(reservation, begun) == named


@pytest.mark.parametrize(
    ("way", "named"),
    [
        ((_S.PAYING,), SECOND),
        ((_S.PAYING, _S.ACTION_REQUIRED), SECOND),
        ((_S.PAYING, _S.ACTION_REQUIRED, _S.PAYING), FIRST),
        ((_S.PAYING, _S.NEEDS_ATTENTION), FIRST),
        ((_S.PAYING, _S.HELD), FIRST),
        ((_S.PAYING, _S.HELD, _S.PAYING), FIRST),
    ],
)
async def test_a_command_replaces_no_other_whose_payment_has_gone_on(
    reservation: AsyncEngine, way: tuple[BookingStatus, ...], named: PaymentId
) -> None:
    held = booking = await claim(reservation, await on_sale(reservation), "A-1-1")
    for to in way:
        booking = await move(reservation, booking, to, payment=FIRST if to is _S.PAYING else None)
    async with reservation.begin() as connection:
        await begun_payment.remember(connection, held.id, held.version, SECOND)
    assert await named_by(reservation, held) == named
