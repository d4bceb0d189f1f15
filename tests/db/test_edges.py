"""Postgres lets a booking change along the legal edges only, for every user."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.errors import CheckViolation, InsufficientPrivilege
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from config.settings import Settings
from domain.bookings import EDGES, BookingStatus
from tests.db.booking_steps import claim, on_sale
from tests.db.sharing import reservation_url

__all__ = ["reservation_url"]


def test_the_database_knows_the_same_edges_as_the_domain(settings: Settings) -> None:
    url = make_url(settings.database_url("reservation")).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection:
        known = set(connection.execute("SELECT from_status, to_status FROM booking_edges"))
    assert known == {(str(old), str(new)) for old, targets in EDGES.items() for new in targets}


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO booking_edges VALUES ('expired', 'confirmed')",
        "UPDATE booking_edges SET to_status = 'confirmed'",
        "DELETE FROM booking_edges",
        "TRUNCATE booking_edges",
    ],
)
def test_the_application_may_not_make_an_edge_legal_nor_illegal(settings: Settings, change: str) -> None:
    url = make_url(settings.database_url("reservation")).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection:
        with pytest.raises(InsufficientPrivilege):
            connection.execute(change)
        connection.rollback()


@pytest.mark.parametrize("old", BookingStatus)
async def test_the_database_itself_refuses_every_illegal_change(
    reservation: AsyncEngine, by_hand: psycopg.Connection, old: BookingStatus
) -> None:
    booking = await claim(reservation, await on_sale(reservation), "A-1-1")
    by_hand.execute("SET session_replication_role = replica")  # to get to any state
    by_hand.execute("UPDATE bookings SET status = %s WHERE id = %s", [old, booking.id])
    by_hand.execute("SET session_replication_role = origin")
    for new in set(BookingStatus) - {old}:
        with by_hand.transaction(force_rollback=True):
            if new in EDGES[old]:
                by_hand.execute("UPDATE bookings SET status = %s WHERE id = %s", [new, booking.id])
            else:
                with pytest.raises(CheckViolation, match=f"cannot go from {old} to {new}"), by_hand.transaction():
                    by_hand.execute("UPDATE bookings SET status = %s WHERE id = %s", [new, booking.id])


@pytest.mark.parametrize("status", sorted(set(BookingStatus) - {BookingStatus.HELD}))
async def test_a_booking_cannot_begin_as_anything_but_held(
    reservation: AsyncEngine, by_hand: psycopg.Connection, status: BookingStatus
) -> None:
    event = await on_sale(reservation)
    with pytest.raises(CheckViolation, match="starts as held"):
        by_hand.execute(
            "INSERT INTO bookings (id, user_id, event_id, status, seats, quantities, amount, currency, body_sha256,"
            " expires_at) VALUES (gen_random_uuid(), gen_random_uuid(), %s, %s, '{}', '{}', 0, 'EUR', '', now())",
            [event, status],
        )
