"""Each invariant is one check that returns its violations; its docstring is the promise that it holds us to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row, text

from adapters.sandbox_ledger import RecordedIntent
from audit.sources import Finding, Sources
from domain.bookings import OVER, PAID, Booking, BookingStatus
from domain.domain_events import OUTCOME_TYPES, AnyDomainEvent
from domain.rebuilding import rebuild

Check = Callable[[Sources], Awaitable[list[Finding]]]

_OWES = """
    CASE WHEN b.status IN ('confirmed', 'refunding', 'partially_refunded', 'refunded')
         THEN b.amount - b.refunded ELSE 0 END
"""
"""What a booking `b` owes, in minor units."""

_OF_EVENT = "(CAST(:event_id AS uuid) IS NULL OR {} = CAST(:event_id AS uuid))"


async def a_seat_has_one_owner(sources: Sources) -> list[Finding]:
    """No seat has two live tickets, and a sold seat's ticket belongs to the booking that owns the seat."""
    rows = await sources.rows(
        text(
            f"""
            SELECT event_id, seat, string_agg(booking_id::text, ', ') AS bookings FROM tickets
            WHERE status = 'valid' AND seat IS NOT NULL AND {_OF_EVENT.format("event_id")}
            GROUP BY event_id, seat HAVING count(*) > 1
            UNION ALL
            SELECT t.event_id, t.seat, t.booking_id::text || ' has a ticket, ' || coalesce(s.booking_id::text, 'nobody')
                   || ' the seat'
            FROM tickets t JOIN seats s ON s.event_id = t.event_id AND s.name = t.seat
            WHERE t.status = 'valid' AND (s.booking_id IS DISTINCT FROM t.booking_id OR s.status <> 'sold')
              AND {_OF_EVENT.format("t.event_id")}
            """
        )
    )
    return [Finding("a seat has one owner", f"{row.event_id} {row.seat}", row.bookings) for row in rows]


async def every_place_is_counted(sources: Sources) -> list[Finding]:
    """Sold, claimed and free places together are the capacity of each section."""
    rows = await sources.rows(
        text(
            f"""
            SELECT s.event_id, s.name, s.capacity, s.claimed AS counted, coalesce(sum(g.quantity), 0) AS found
            FROM sections s LEFT JOIN general_claims g ON g.event_id = s.event_id AND g.section = s.name
            WHERE s.kind = 'general' AND {_OF_EVENT.format("s.event_id")}
            GROUP BY s.event_id, s.name
            HAVING s.claimed <> coalesce(sum(g.quantity), 0) OR s.claimed > s.capacity
            UNION ALL
            SELECT s.event_id, s.name, s.capacity, s.capacity, count(seats.name)
            FROM sections s LEFT JOIN seats ON seats.event_id = s.event_id AND seats.section = s.name
            WHERE s.kind = 'seated' AND {_OF_EVENT.format("s.event_id")}
            GROUP BY s.event_id, s.name HAVING count(seats.name) <> s.capacity
            """
        )
    )
    return [
        Finding("every place is counted", f"{row.event_id} {row.name}", f"{row.counted} counted, {row.found} found")
        for row in rows
    ]


async def places_belong_to_live_bookings(sources: Sources) -> list[Finding]:
    """A paid booking has exactly the places of its valid tickets, sold, and all until some are given back."""
    rows = await sources.rows(
        text(
            f"""
            SELECT b.id, b.status, cardinality(b.seats) AS seats_asked,
                   coalesce((SELECT sum(value::int) FROM jsonb_each_text(b.quantities)), 0) AS general_asked,
                   (SELECT count(*) FROM seats s WHERE s.booking_id = b.id AND s.status = 'sold') AS seats_sold,
                   (SELECT count(*) FROM seats s WHERE s.booking_id = b.id) AS seats_owned,
                   (SELECT coalesce(sum(quantity), 0) FROM general_claims g WHERE g.booking_id = b.id) AS general_owned,
                   (SELECT count(*) FROM tickets t WHERE t.booking_id = b.id AND t.status = 'valid') AS tickets,
                   (SELECT count(*) FROM tickets t WHERE t.booking_id = b.id AND t.refund_id IS NOT NULL) AS returned
            FROM bookings b WHERE {_OF_EVENT.format("b.event_id")}
            """
        )
    )
    broken = []
    for row in rows:
        owned, asked = row.seats_owned + row.general_owned, row.seats_asked + row.general_asked
        if row.status in PAID:
            wrong = (owned, row.tickets, row.seats_sold) != (asked - row.returned, owned, row.seats_owned)
            wrong = wrong or (row.status == BookingStatus.CONFIRMED and row.returned > 0)
            wrong = wrong or (row.status == BookingStatus.REFUNDED and owned > 0)
        elif row.status in (BookingStatus.CANCELLED, BookingStatus.EXPIRED, BookingStatus.FAILED):
            wrong = bool(owned or row.tickets)
        else:
            wrong = owned != asked
        if wrong:
            detail = f"{row.status}: {asked} asked, {owned} owned, {row.tickets} tickets"
            broken.append(Finding("places belong to live bookings", str(row.id), detail))
    return broken


async def money_taken_is_money_owed(sources: Sources) -> list[Finding]:
    """Captured minus refunded is what a booking owes: its price less what it got back if paid, else nothing."""
    owed, moving = await _owed(sources)
    kept: dict[str, int] = defaultdict(int)
    async for intent in _intents(sources, list(owed)):
        if intent.captured - intent.refunded:
            kept[f"{intent.booking_id}"] += intent.captured - intent.refunded
    return [
        Finding("money taken is money owed", booking, f"kept {kept.get(booking, 0)}, owed {owed.get(booking, 0)}")
        for booking in {*owed, *kept} - moving
        if kept.get(booking, 0) != owed.get(booking, 0)
    ]


async def nothing_stays_authorized(sources: Sources) -> list[Finding]:
    """A booking that has ended keeps no money reserved, and no payment attempt open."""
    owed, moving = await _owed(sources)
    findings = [
        Finding("nothing stays authorized", f"{intent.booking_id}", f"{intent.id} reserves {intent.held}")
        async for intent in _intents(sources, list(owed))
        if intent.held and intent.booking_id not in moving
    ]
    async with sources.payment.connect() as connection:
        rows = await connection.execute(
            text("SELECT booking_id, state FROM attempts WHERE closed_at IS NULL AND state <> 'captured'")
        )
    return findings + [
        Finding("nothing stays authorized", str(row.booking_id), f"its attempt is still {row.state}")
        for row in rows
        if str(row.booking_id) in owed and str(row.booking_id) not in moving
    ]


async def holds_have_live_bookings(sources: Sources) -> list[Finding]:
    """Redis keeps a place only for a booking that has it or may still get it, and without an end only what is sold."""
    rows = await sources.rows(text(f"SELECT id, status FROM bookings WHERE {_OF_EVENT.format('event_id')}"))
    statuses = {str(row.id): row.status for row in rows}
    gone = {BookingStatus.CANCELLED, BookingStatus.EXPIRED, BookingStatus.FAILED, BookingStatus.REFUNDED}
    findings = []
    async for place, booking, is_endless in _redis_places(sources):
        status = statuses.get(booking)
        if status in gone or (is_endless and status not in PAID):
            end = "without an end" if is_endless else "held"
            findings.append(Finding("holds have live bookings", booking, f"{place} is {end}, booking {status}"))
    return findings


async def an_end_is_told_once(sources: Sources) -> list[Finding]:
    """Each booking that has ended has exactly one outcome event; one that has not has none."""
    outcomes = ", ".join(f"'{name}'" for name in sorted(OUTCOME_TYPES))
    rows = await sources.rows(
        text(
            f"""
            SELECT b.id, b.status, count(e.id) AS told FROM bookings b
            LEFT JOIN domain_events e ON e.aggregate_id = b.id AND e.type IN ({outcomes})
            WHERE {_OF_EVENT.format("b.event_id")} GROUP BY b.id
            """
        )
    )
    return [
        Finding("an end is told once", str(row.id), f"{row.status}, told {row.told} times")
        for row in rows
        if row.told != (1 if row.status in OVER else 0)
    ]


async def states_follow_from_domain_events(sources: Sources) -> list[Finding]:
    """A booking's domain events lead along legal edges, without a gap, to all that its row says."""
    rows = await sources.rows(
        text(
            f"""
            SELECT b.*, array_agg(e.sequence ORDER BY e.sequence) AS sequences,
                   jsonb_agg(e.data || jsonb_build_object('type', e.type) ORDER BY e.sequence) AS history
            FROM bookings b LEFT JOIN domain_events e ON e.aggregate_id = b.id
            WHERE {_OF_EVENT.format("b.event_id")} GROUP BY b.id
            """
        )
    )
    return [
        Finding("states follow from domain events", str(row.id), contradiction)
        for row in rows
        if (contradiction := _contradiction(row))
    ]


_BOOKING_EVENT: TypeAdapter[Any] = TypeAdapter(AnyDomainEvent)
_TOLD = tuple(name for name in Booking.model_fields if name != "tickets")


def _contradiction(row: Row[Any]) -> str | None:
    """What a booking's row says and its domain events do not."""
    if row.sequences != list(range(1, row.version + 1)):
        return f"version {row.version}, but its domain events are {row.sequences}"
    try:
        told = rebuild(_BOOKING_EVENT.validate_python(event) for event in row.history)
    except ValidationError:
        return "a domain event cannot be read"
    except ValueError as error:
        return str(error)
    found = Booking(**{name: getattr(row, name) for name in _TOLD})
    wrong = [name for name in _TOLD if getattr(found, name) != getattr(told, name)]
    return f"the row says {', '.join(f'{name} {getattr(found, name)}' for name in wrong)}" if wrong else None


async def what_is_unfinished_is_being_finished(sources: Sources) -> list[Finding]:
    """Each booking that has not ended has a living saga, and none stays held beyond its time."""
    rows = await sources.rows(
        text(
            f"""
            SELECT id, status, expires_at + interval '1 minute' < now() AS is_overdue FROM bookings
            WHERE status IN ('held', 'paying', 'action_required', 'needs_attention', 'refunding')
              AND updated_at < now() - interval '2 seconds' AND {_OF_EVENT.format("event_id")}
            """
        )
    )
    running = await sources.running_sagas() if rows else set()
    orphans = [(row, "its saga is not running") for row in rows if str(row.id) not in running]
    late = [(row, "its time is up") for row in rows if row.status == BookingStatus.HELD and row.is_overdue]
    return [
        Finding("what is unfinished is being finished", str(row.id), f"{row.status}, but {why}")
        for row, why in orphans + late
    ]


async def _owed(sources: Sources) -> tuple[dict[str, int], set[str]]:
    """What each booking owes, and the bookings whose living saga is still moving money."""
    rows = await sources.rows(
        text(f"SELECT id, status, {_OWES} AS owes FROM bookings b WHERE {_OF_EVENT.format('b.event_id')}")
    )
    owed = {str(row.id): row.owes for row in rows}
    still = (
        BookingStatus.PAYING,
        BookingStatus.ACTION_REQUIRED,
        BookingStatus.NEEDS_ATTENTION,
        BookingStatus.REFUNDING,
    )
    moving = {str(row.id) for row in rows if row.status in still}
    return owed, moving and moving & await sources.running_sagas()


def _intents(sources: Sources, bookings: Sequence[str]) -> AsyncIterator[RecordedIntent]:
    return sources.provider.intents(None if sources.event_id is None else [UUID(booking) for booking in bookings])


async def _redis_places(sources: Sources) -> AsyncIterator[tuple[str, str, bool]]:
    """Every place that Redis keeps: its key, the booking, and whether it has no end."""
    event = sources.event_id or "*"
    async for key in sources.redis.scan_iter(f"seatwright:{{{event}}}:seat:*", count=1000):
        owner, ttl = await sources.redis.get(key), await sources.redis.pttl(key)
        if owner:
            yield str(key), str(owner), ttl == -1
    async for key in sources.redis.scan_iter(f"seatwright:{{{event}}}:general:*:until", count=1000):
        now = await sources.redis.time()
        members: list[tuple[str, float]] = await sources.redis.zrange(key, 0, -1, withscores=True)  # type: ignore[assignment]
        for booking, end in members:
            if end > int(now[0]) * 1000:
                yield str(key), booking, end == float("inf")


CHECKS: tuple[Check, ...] = (
    a_seat_has_one_owner,
    every_place_is_counted,
    places_belong_to_live_bookings,
    money_taken_is_money_owed,
    nothing_stays_authorized,
    holds_have_live_bookings,
    an_end_is_told_once,
    states_follow_from_domain_events,
    what_is_unfinished_is_being_finished,
)
