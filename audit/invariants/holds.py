"""Places in Redis, which refuses buyers early: it refuses only for seats that are taken, and for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf
from typing import Any

from sqlalchemy import Row

from audit import queries
from audit.connections import EVENT_FILTER
from audit.probes.seat_records import EventRecord, SeatOwner, SectionRecord
from audit.snapshot import Snapshot, Violation
from domain.bookings import BookingStatus

_GONE = {BookingStatus.CANCELLED, BookingStatus.EXPIRED, BookingStatus.FAILED, BookingStatus.REFUNDED}
_SOLD = {BookingStatus.CONFIRMED, BookingStatus.REFUNDING, BookingStatus.PARTIALLY_REFUNDED}


async def holds_have_live_bookings(snapshot: Snapshot) -> list[Violation]:
    """Redis keeps no place for a booking that has ended without tickets."""
    bookings = await snapshot.read(queries.bookings)
    return [
        Violation(owner.booking, f"{place} is kept, booking {booking.status}", booking.has_just_changed)
        for place, owner in _owners(await snapshot.read(queries.seat_records))
        if (booking := bookings.get(owner.booking)) and booking.status in _GONE
    ]


async def every_hold_expires(snapshot: Snapshot) -> list[Violation]:
    """Redis keeps a place until its event is over only after its sale; every hold expires by itself."""
    bookings, ends = await snapshot.read(queries.bookings), await snapshot.read(queries.ends_in_redis)
    return [
        Violation(owner.booking, f"{place} is kept until the event is over, booking {status}")
        for place, owner in _owners(await snapshot.read(queries.seat_records))
        if owner.ends >= ends.get(place.partition(" ")[0], inf)
        and (status := bookings[owner.booking].status if owner.booking in bookings else "unknown") not in _SOLD | _GONE
    ]


async def redis_forgets_past_events(snapshot: Snapshot) -> list[Violation]:
    """Every key of an event has an end; when that is, is not checked."""
    return [
        Violation(event, f"{len(endless)} keys never expire, such as {min(endless)}")
        for event, record in (await snapshot.read(queries.seat_records)).items()
        if (endless := [*record.endless, *(name for name, owner in record.seats.items() if owner.ends == inf)])
    ]


def _owners(events: dict[str, EventRecord]) -> Iterator[tuple[str, SeatOwner]]:
    for event, record in events.items():
        for name, owner in record.seats.items():
            yield f"{event} {name}", owner
        for name, section in record.sections.items():
            for owner in section.owners:
                yield f"{event} {name}", owner


# A hold in Redis outlives `expires_at`. After that Redis may have missed a sale, which costs another buyer one retry.
_TAKEN = f"""
    SELECT b.event_id::text AS event, s.name AS place, b.id::text AS booking, 1 AS quantity, s.status,
           b.expires_at > now() AS is_fresh, true AS is_seat, extract(epoch FROM b.created_at) * 1000 AS made_at
    FROM seats s JOIN bookings b ON b.id = s.booking_id WHERE {EVENT_FILTER.format("s.event_id")}
    UNION ALL
    SELECT b.event_id::text, g.section, b.id::text, g.quantity, g.status, b.expires_at > now(), false,
           extract(epoch FROM b.created_at) * 1000
    FROM general_claims g JOIN bookings b ON b.id = g.booking_id WHERE {EVENT_FILTER.format("g.event_id")}
"""


async def redis_has_every_taken_place(snapshot: Snapshot) -> list[Violation]:
    """If an event is loaded, Redis has every place that is held or was just sold, and no place that is free."""
    events, bookings = await snapshot.read(queries.seat_records), await snapshot.read(queries.bookings)
    taken, violations = set(), []
    async for row in snapshot.stream(_TAKEN):
        taken.add((f"{row.event} {row.place}", row.booking))
        record = events.get(row.event)
        if record and record.loaded_at is not None and (wrong := _disagreement(record, row)):
            violations.append(Violation(row.booking, f"{row.event} {row.place} is {row.status}, but in Redis {wrong}"))
    return violations + [
        Violation(owner.booking, f"{place} is kept for it in Redis only", booking.has_just_changed)
        for place, owner in _owners(events)
        if (booking := bookings.get(owner.booking)) and booking.status not in _GONE
        if (place, owner.booking) not in taken
    ]


_IN_FLIGHT = 60_000  # ms


def _disagreement(record: EventRecord, row: Row[Any]) -> str | None:
    """How Redis differs; it may miss a claim that was made while it was loaded, which costs one retry at most."""
    if record.loaded_at and abs(row.made_at - record.loaded_at) < _IN_FLIGHT and row.status == "claimed":
        return None
    if row.is_seat:
        owner = record.seats.get(row.place)
        if owner is None:
            return "it is free" if row.is_fresh else None
        return None if owner.booking == row.booking else f"it is kept for {owner.booking}"
    section = record.sections.get(row.place)
    quantity = section.places.get(row.booking) if section else None
    if quantity is None:
        return "nothing is kept" if row.is_fresh else None
    return None if quantity == row.quantity else f"{quantity} are kept instead of {row.quantity}"


_CAPACITIES = f"""
    SELECT event_id::text AS event, name, capacity FROM sections
    WHERE kind = 'general' AND {EVENT_FILTER.format("event_id")}
"""


async def redis_counts_every_place(snapshot: Snapshot) -> list[Violation]:
    """If an event is loaded, Redis has each section's capacity, and its count is the sum of the bookings' places."""
    events = await snapshot.read(queries.seat_records)
    return [
        Violation(f"{row.event} {row.name}", f"capacity {capacity}, {section.counted} counted, {kept} found")
        for row in await snapshot.rows(_CAPACITIES)
        if (record := events.get(row.event)) and record.loaded_at is not None
        for section in [record.sections.get(row.name, _WITHOUT_HOLDS)]
        for capacity, kept in [(record.capacities.get(row.name), sum(section.places.values()))]
        if (capacity, section.counted) != (row.capacity, kept) or section.listed != section.places.keys()
    ]


_WITHOUT_HOLDS = SectionRecord(counted=0, places={}, owners=[], listed=set())
