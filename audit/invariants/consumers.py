"""Every consumer has handled the domain events; a recent one may still be on its way.

Each consumer leaves other evidence: analytics its inbox and its totals, search its documents. Mails cannot be checked
after they are sent; notification leaves the offsets that it commits after its work, and its dead letters.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from audit import queries
from audit.connections import EVENT_FILTER
from audit.queries import Deliveries
from audit.snapshot import Snapshot, Violation
from domain.domain_events import EXCHANGE_TYPE, REFUND_TYPES, TAKEN_BACK_TYPE, BookingEvent

_SOLD = "booking.confirmed"
_COUNTED = REFUND_TYPES | {_SOLD, EXCHANGE_TYPE, TAKEN_BACK_TYPE}


async def analytics_receives_every_sale(snapshot: Snapshot) -> list[Violation]:
    """Each confirmation, exchange and refund that has left the outbox is in the inbox of analytics."""
    deliveries = await snapshot.read(queries.deliveries)
    return [
        Violation(outcome.booking, f"analytics has not received {outcome.id}", _is_early(snapshot, deliveries, outcome))
        for outcome in deliveries.outcomes
        if outcome.type in _COUNTED and not outcome.waits and outcome.id not in deliveries.counted
    ]


async def sales_are_counted_once(snapshot: Snapshot) -> list[Violation]:
    """An event's sales, the total and by day, are the sum of the confirmations, exchanges and refunds in the inbox."""
    deliveries = await snapshot.read(queries.deliveries)
    sums: dict[tuple[str, str, str], Counter[str]] = {}
    for outcome in deliveries.outcomes:
        if outcome.id in deliveries.counted:
            for figure, bookings, sign in _entries(outcome):
                sales = sums.setdefault((figure, outcome.event, outcome.currency), Counter())
                sales.update(bookings=bookings, tickets=sign * outcome.tickets, revenue=sign * outcome.amount)
    counted = {
        (row.figure, row.event, row.currency, row.bookings, row.tickets, row.revenue) for row in deliveries.sales
    }
    right = {(*key, sales["bookings"], sales["tickets"], sales["revenue"]) for key, sales in sums.items()}
    return [
        Violation(event, f"{verdict} {figure}: {bookings} bookings, {tickets} tickets, {revenue} {currency}")
        for verdict, wrong in (("not counted", right - counted), ("counted", counted - right))
        for figure, event, currency, bookings, tickets, revenue in wrong
    ]


def _entries(outcome: Row[Any]) -> list[tuple[str, int, int]]:
    """The figures that a domain event changes: the figure, the bookings, and the sign of its tickets and money."""
    type = outcome.type
    if type == _SOLD:
        return [("total", 1, 1), ("sold by day", 1, 1)]
    if type == EXCHANGE_TYPE:  # the number of tickets stays; the amount is the extra price of a dearer seat
        return [("total", 0, 1), ("sold by day", 0, 1)]
    if type in REFUND_TYPES:
        return [("total", -int(type == "booking.refunded"), -1), ("refunded by day", 1, 1)]
    if type == TAKEN_BACK_TYPE:
        return [("total", int(outcome.was_refunded), 1), ("refunded by day", -1, -1)]
    return []  # analytics does not count it


async def notification_receives_every_outcome(snapshot: Snapshot) -> list[Violation]:
    """Notification has committed an offset beyond each outcome on Kafka, which it does after its work."""
    deliveries = await snapshot.read(queries.deliveries)
    done = await snapshot.connections.kafka.committed("notification", BookingEvent.topic)
    return [
        Violation(
            outcome.booking,
            f"notification has not handled {outcome.type} {outcome.id}",
            _is_early(snapshot, deliveries, outcome),
        )
        for outcome in deliveries.outcomes
        if (found := deliveries.published.get(outcome.id)) and found.offset >= done.get(found.partition, 0)
    ]


def _is_early(snapshot: Snapshot, deliveries: Deliveries, outcome: Row[Any]) -> bool:
    """Whether it is recent, or was published only just now because Kafka or the relay was down."""
    found = deliveries.published.get(outcome.id)
    return outcome.is_early or (found is not None and found.at > datetime.now(UTC) - snapshot.connections.lag)


async def no_outcome_is_a_dead_letter(snapshot: Snapshot) -> list[Violation]:
    """No consumer has moved an outcome to its dead letters."""
    deliveries = await snapshot.read(queries.deliveries)
    return [
        Violation(
            letter.subject, f"{letter.type} {letter.id} is in {letter.topic}, at {letter.partition}:{letter.offset}"
        )
        for letter in deliveries.dead_letters
    ]


_ON_SALE = f"""
    SELECT DISTINCT ON (e.aggregate_id) e.aggregate_id::text AS event, (e.data ->> 'version')::int AS version,
           CASE e.type WHEN 'event.published' THEN 'on_sale' ELSE 'cancelled' END AS status,
           EXISTS (SELECT FROM outbox o WHERE o.aggregate_id = e.aggregate_id) AS waits,
           e.occurred_at > now() - CAST(:lag AS interval) AS is_early
    FROM domain_events e WHERE {EVENT_FILTER.format("e.aggregate_id")} ORDER BY e.aggregate_id, e.sequence DESC
"""


async def search_matches_the_catalogue(snapshot: Snapshot) -> list[Violation]:
    """Each published event is indexed in the version that the catalogue last announced, and no other event is."""
    indexed = {
        each.event_id: each async for each in snapshot.connections.search.documents(snapshot.connections.event_ids)
    }
    known = {row.event: row for row in await snapshot.rows(_ON_SALE, "catalogue")}
    unknown = [
        Violation(event, "is indexed, but the catalogue has not published it") for event in indexed.keys() - known
    ]
    return unknown + [
        Violation(event, f"{row.status} at version {row.version}, indexed as {found and found[1:]}", row.is_early)
        for event, row in known.items()
        if not row.waits
        for found in [indexed.get(event)]
        if found is None or (found.version, found.status) != (row.version, row.status)
    ]
