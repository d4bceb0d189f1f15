"""What the consumers have made of what they were told; a domain event that is young may still be on its way to them.

Each leaves another trace: analytics its inbox and its sums, search its documents, and notification, whose mails are out
of our hands, the offsets that it commits after its work, and what it has put aside.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from audit import queries
from audit.connections import OF_EVENT
from audit.queries import Story
from audit.snapshot import Broken, Look
from domain.domain_events import EXCHANGE_TYPE, REFUND_TYPES, TAKEN_BACK_TYPE, BookingEvent

_SOLD = "booking.confirmed"
_COUNTED = REFUND_TYPES | {_SOLD, EXCHANGE_TYPE, TAKEN_BACK_TYPE}


async def analytics_hears_of_every_sale(look: Look) -> list[Broken]:
    """Each confirmation, exchange and refund that has left the outbox is in the inbox of analytics."""
    story = await look.once(queries.story)
    return [
        Broken(outcome.booking, f"analytics has not heard of {outcome.id}", _is_early(look, story, outcome))
        for outcome in story.outcomes
        if outcome.type in _COUNTED and not outcome.waits and outcome.id not in story.counted
    ]


async def sales_are_counted_once(look: Look) -> list[Broken]:
    """An event's sales, in all and by day, are the sum of the confirmations, exchanges and refunds that it was told."""
    story = await look.once(queries.story)
    sums: dict[tuple[str, str, str], Counter[str]] = {}
    for outcome in story.outcomes:
        if outcome.id in story.counted:
            for book, bookings, sign in _entries(outcome):
                sales = sums.setdefault((book, outcome.event, outcome.currency), Counter())
                sales.update(bookings=bookings, tickets=sign * outcome.tickets, revenue=sign * outcome.amount)
    counted = {(row.book, row.event, row.currency, row.bookings, row.tickets, row.revenue) for row in story.sales}
    right = {(*key, sales["bookings"], sales["tickets"], sales["revenue"]) for key, sales in sums.items()}
    return [
        Broken(event, f"{verdict} {book}: {bookings} bookings, {tickets} tickets, {revenue} {currency}")
        for verdict, wrong in (("not counted", right - counted), ("counted", counted - right))
        for book, event, currency, bookings, tickets, revenue in wrong
    ]


def _entries(outcome: Row[Any]) -> list[tuple[str, int, int]]:
    """Where analytics enters a domain event: the book, the bookings, and the sign of its tickets and money."""
    type = outcome.type
    if type == _SOLD:
        return [("in all", 1, 1), ("sold by day", 1, 1)]
    if type == EXCHANGE_TYPE:  # its tickets are as many as before, its amount what was paid for a dearer seat
        return [("in all", 0, 1), ("sold by day", 0, 1)]
    if type in REFUND_TYPES:
        return [("in all", -int(type == "booking.refunded"), -1), ("refunded by day", 1, 1)]
    if type == TAKEN_BACK_TYPE:
        return [("in all", int(outcome.was_refunded), 1), ("refunded by day", -1, -1)]
    return []  # analytics has no need of it


async def notification_hears_of_every_end(look: Look) -> list[Broken]:
    """Notification has committed an offset beyond each outcome on Kafka, which it does after its work."""
    story = await look.once(queries.story)
    done = await look.sources.kafka.committed("notification", BookingEvent.topic)
    return [
        Broken(
            outcome.booking,
            f"notification has not come to {outcome.type} {outcome.id}",
            _is_early(look, story, outcome),
        )
        for outcome in story.outcomes
        if (found := story.published.get(outcome.id)) and found.offset >= done.get(found.partition, 0)
    ]


def _is_early(look: Look, story: Story, outcome: Row[Any]) -> bool:
    """Also one that is old but on Kafka only since a moment ago, since Kafka or the relay was away."""
    found = story.published.get(outcome.id)
    return outcome.is_early or (found is not None and found.at > datetime.now(UTC) - look.sources.lag)


async def no_end_is_put_aside(look: Look) -> list[Broken]:
    """No outcome is among the dead letters of a consumer."""
    story = await look.once(queries.story)
    return [
        Broken(letter.subject, f"{letter.type} {letter.id} is in {letter.topic}, at {letter.partition}:{letter.offset}")
        for letter in story.letters
    ]


_ON_SALE = f"""
    SELECT DISTINCT ON (e.aggregate_id) e.aggregate_id::text AS event, (e.data ->> 'version')::int AS version,
           CASE e.type WHEN 'event.published' THEN 'on_sale' ELSE 'cancelled' END AS status,
           EXISTS (SELECT FROM outbox o WHERE o.aggregate_id = e.aggregate_id) AS waits,
           e.occurred_at > now() - CAST(:lag AS interval) AS is_early
    FROM domain_events e WHERE {OF_EVENT.format("e.aggregate_id")} ORDER BY e.aggregate_id, e.sequence DESC
"""


async def search_shows_what_the_catalogue_says(look: Look) -> list[Broken]:
    """Each event that was published is indexed as the catalogue last told of it, and nothing else is."""
    indexed = {each.event_id: each async for each in look.sources.search.documents(look.sources.event_id)}
    known = {row.event: row for row in await look.rows(_ON_SALE, "catalogue")}
    strange = [Broken(event, "is indexed, and the catalogue has not told of it") for event in indexed.keys() - known]
    return strange + [
        Broken(event, f"{row.status} at version {row.version}, indexed as {found and found[1:]}", row.is_early)
        for event, row in known.items()
        if not row.waits
        for found in [indexed.get(event)]
        if found is None or (found.version, found.status) != (row.version, row.status)
    ]
