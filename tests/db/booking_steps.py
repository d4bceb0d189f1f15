"""An event on sale in a reservation database, and bookings of it as the saga's steps make them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from db.reservation import inventory
from db.reservation.bookings import bookings, outcomes
from db.reservation.bookings.bookings import identity
from domain.bookings import Booking, BookingStatus, PaymentId
from domain.catalogue import Event, EventStatus, Section
from domain.domain_events import (
    AnyDomainEvent,
    BookingActionRequired,
    BookingCancelled,
    BookingEvent,
    BookingExpired,
    BookingFailed,
    BookingNeedsAttention,
    BookingPaying,
    Venue,
)
from tests.requests import booking_request

_EVENTS: TypeAdapter[Any] = TypeAdapter(list[AnyDomainEvent])
_PLAIN = {
    BookingStatus.PAYING: BookingPaying,
    BookingStatus.ACTION_REQUIRED: BookingActionRequired,
    BookingStatus.CANCELLED: BookingCancelled,
    BookingStatus.EXPIRED: BookingExpired,
}


def an_event(*, standing: int = 10) -> Event:
    """An event with the seats A-1-1 to A-1-10 and the general-admission sections Garden and Standing."""
    return Event(
        id=uuid4(),
        organizer_id=uuid4(),
        status=EventStatus.PUBLISHED,
        version=2,
        was_published=True,
        name="Hamlet",
        category="theatre",
        venue=Venue(name="Globe", city="London", country="GB", latitude=51.5, longitude=-0.1),
        starts_at=datetime.now(UTC) + timedelta(days=9),
        currency="EUR",
        hold_seconds=120,
        sections=(
            Section(name="A", kind="seated", rows=1, seats_per_row=10, capacity=10, price=5000),
            Section(name="Garden", kind="general", capacity=standing, price=2000),
            Section(name="Standing", kind="general", capacity=standing, price=3000),
        ),
    )


async def on_sale(engine: AsyncEngine, *, standing: int = 10) -> UUID:
    """`an_event` in a reservation database."""
    event = an_event(standing=standing)
    async with engine.begin() as connection:
        await inventory.put_on_sale(connection, event)
    return event.id


async def claim(engine: AsyncEngine, event: UUID, *seats: str, **quantities: int) -> Booking:
    async with engine.begin() as connection:
        return await bookings.claim(connection, booking_request(event, *seats, **quantities))


async def move(
    engine: AsyncEngine, booking: Booking, to: BookingStatus, *, payment: PaymentId | None = None
) -> Booking:
    async with engine.begin() as connection:
        return await bookings.move(
            connection, booking.id, version=booking.version, to=to, tells=lambda now: _told(now, to), payment=payment
        )


def _told(booking: Booking, to: BookingStatus) -> BookingEvent:
    match to:
        case BookingStatus.HELD:
            return bookings.held(booking)
        case BookingStatus.FAILED:
            return BookingFailed(**identity(booking), reason="seats-unavailable")
        case BookingStatus.NEEDS_ATTENTION:
            return BookingNeedsAttention(**identity(booking), step="return money")
        case _:
            return _PLAIN[to](**identity(booking))


async def give_back(engine: AsyncEngine, booking: Booking) -> None:
    async with engine.begin() as connection:
        await bookings.release(connection, booking.id)


async def confirm(engine: AsyncEngine, booking: Booking) -> Booking:
    async with engine.begin() as connection:
        await bookings.sell(connection, booking)
        return await outcomes.confirm(connection, booking)


async def find(engine: AsyncEngine, booking: Booking) -> Booking:
    async with engine.connect() as connection:
        found = await bookings.find(connection, booking.id)
    assert found
    return found


async def history(engine: AsyncEngine, booking: Booking) -> list[BookingEvent]:
    """The booking's domain events, oldest first."""
    statement = text(
        "SELECT data || jsonb_build_object('type', type) AS told FROM domain_events"
        " WHERE aggregate_id = :id ORDER BY sequence"
    )
    async with engine.connect() as connection:
        rows = await connection.execute(statement, {"id": booking.id})
        events: list[BookingEvent] = _EVENTS.validate_python([row.told for row in rows])
    return events
