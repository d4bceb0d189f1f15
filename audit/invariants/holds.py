"""Places in Redis, which turns buyers away: it must not do so for nobody, nor let in who has to be refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row

from audit import queries
from audit.connections import OF_EVENT
from audit.probes.seat_records import EventRecord, Keep
from audit.snapshot import Broken, Look
from domain.bookings import BookingStatus

_GONE = {BookingStatus.CANCELLED, BookingStatus.EXPIRED, BookingStatus.FAILED, BookingStatus.REFUNDED}
_SOLD = {BookingStatus.CONFIRMED, BookingStatus.REFUNDING, BookingStatus.PARTIALLY_REFUNDED}


async def holds_have_live_bookings(look: Look) -> list[Broken]:
    """Redis keeps no place for a booking that is gone."""
    bookings = await look.once(queries.bookings)
    return [
        Broken(keep.booking, f"{place} is kept, booking {booking.status}", booking.has_just_changed)
        for place, keep in _kept(await look.once(queries.places))
        if (booking := bookings.get(keep.booking)) and booking.status in _GONE
    ]


async def every_hold_has_an_end(look: Look) -> list[Broken]:
    """Redis keeps a place for good only once its booking is sold; any hold ends by itself."""
    bookings = await look.once(queries.bookings)
    return [
        Broken(keep.booking, f"{place} is kept for ever, booking {status}")
        for place, keep in _kept(await look.once(queries.places))
        if keep.is_endless
        and (status := bookings[keep.booking].status if keep.booking in bookings else "unknown") not in _SOLD | _GONE
    ]


def _kept(events: dict[str, EventRecord]) -> Iterator[tuple[str, Keep]]:
    for event, record in events.items():
        for name, keep in record.seats.items():
            yield f"{event} {name}", keep
        for name, section in record.sections.items():
            for keep in section.keeps:
                yield f"{event} {name}", keep


# A hold's time in Redis is longer than `expires_at`. Later Redis may have missed a sale, which costs a buyer a retry.
_TAKEN = f"""
    SELECT b.event_id::text AS event, s.name AS place, b.id::text AS booking, 1 AS quantity, s.status,
           b.expires_at > now() AS is_fresh, true AS is_seat, extract(epoch FROM b.created_at) * 1000 AS made_at
    FROM seats s JOIN bookings b ON b.id = s.booking_id WHERE {OF_EVENT.format("s.event_id")}
    UNION ALL
    SELECT b.event_id::text, g.section, b.id::text, g.quantity, g.status, b.expires_at > now(), false,
           extract(epoch FROM b.created_at) * 1000
    FROM general_claims g JOIN bookings b ON b.id = g.booking_id WHERE {OF_EVENT.format("g.event_id")}
"""


async def redis_knows_what_is_taken(look: Look) -> list[Broken]:
    """Where Redis decides, it keeps the places of whoever holds or has just bought them, and for nobody else."""
    events, bookings = await look.once(queries.places), await look.once(queries.bookings)
    taken, broken = set(), []
    async for row in look.stream(_TAKEN):
        taken.add((f"{row.event} {row.place}", row.booking))
        record = events.get(row.event)
        if record and record.loaded_at is not None and (wrong := _disagreement(record, row)):
            broken.append(Broken(row.booking, f"{row.event} {row.place} is {row.status}, but in Redis {wrong}"))
    return broken + [
        Broken(keep.booking, f"{place} is kept for it in Redis only", booking.has_just_changed)
        for place, keep in _kept(events)
        if (booking := bookings.get(keep.booking)) and booking.status not in _GONE
        if (place, keep.booking) not in taken
    ]


_IN_FLIGHT = 60_000  # ms


def _disagreement(record: EventRecord, row: Row[Any]) -> str | None:
    """What Redis says wrongly; it may miss a claim that was made while it was loaded, which costs a retry at most."""
    if record.loaded_at and abs(row.made_at - record.loaded_at) < _IN_FLIGHT and row.status == "claimed":
        return None
    if row.is_seat:
        keep = record.seats.get(row.place)
        if keep is None:
            return "it is free" if row.is_fresh else None
        return None if keep.booking == row.booking else f"it is kept for {keep.booking}"
    section = record.sections.get(row.place)
    quantity = section.places.get(row.booking) if section else None
    if quantity is None:
        return "nothing is kept" if row.is_fresh else None
    return None if quantity == row.quantity else f"{quantity} are kept instead of {row.quantity}"


_CAPACITIES = f"""
    SELECT event_id::text AS event, name, capacity FROM sections
    WHERE kind = 'general' AND {OF_EVENT.format("event_id")}
"""


async def redis_counts_every_place(look: Look) -> list[Broken]:
    """Where Redis decides, it knows each section's capacity, and its count is the sum of what bookings have."""
    capacities = {(row.event, row.name): row.capacity for row in await look.rows(_CAPACITIES)}
    return [
        Broken(f"{event} {name}", f"capacity {section.capacity}, {section.counted} counted, {kept} found")
        for event, record in (await look.once(queries.places)).items()
        for name, section in record.sections.items()
        if record.loaded_at is not None and (event, name) in capacities
        for kept in [sum(section.places.values())]
        if (section.capacity, section.counted) != (capacities[event, name], kept)
        or section.listed != section.places.keys()
    ]
