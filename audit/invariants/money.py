"""The buyer's money: the provider, the payment attempts and the bookings agree on it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from audit import queries
from audit.connections import EVENT_FILTER
from audit.probes.sandbox_ledger import RecordedIntent
from audit.queries import BookingFacts
from audit.snapshot import Snapshot, Violation
from domain.bookings import PAID


def owed(booking: BookingFacts) -> int:
    """The amount that a booking owes, in minor units: if paid, its price and its exchanges less refunds; else 0."""
    return booking.amount - booking.refunded if booking.status in PAID else 0


async def money_taken_is_money_owed(snapshot: Snapshot) -> list[Violation]:
    """The provider's captures less refunds equal what the booking owes, in its currency: nothing unless it is paid."""
    bookings, moving = await snapshot.read(queries.bookings), await snapshot.read(queries.unsettled)
    kept = {booking: _kept(intents) for booking, intents in (await snapshot.read(queries.intents)).items()}
    owes = {id: {booking.currency: amount} for id, booking in bookings.items() if (amount := owed(booking))}
    nothing: dict[str, int] = {}
    return [
        Violation(booking, f"kept {_text(takes)}, owed {_text(should)}")
        for booking in owes.keys() | kept.keys()
        if booking not in moving
        if (takes := kept.get(booking, nothing)) != (should := owes.get(booking, nothing))
    ]


async def a_booking_is_paid_once(snapshot: Snapshot) -> list[Violation]:
    """At most one intent has reserved or captured money for a booking, and for each of its exchanges."""
    exchange = await snapshot.read(queries.exchange_of_intent)
    paid: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for booking, intents in (await snapshot.read(queries.intents)).items():
        for intent in intents:
            if intent.held or intent.captured > intent.refunded:
                paid[booking, exchange.get(intent.id)].append(intent.id)
    return [
        Violation(booking, f"paid by {', '.join(sorted(ids))}") for (booking, _), ids in paid.items() if len(ids) > 1
    ]


async def no_money_stays_authorized(snapshot: Snapshot) -> list[Violation]:
    """A booking without a running payment has no money reserved and no open payment attempt."""
    bookings, moving = await snapshot.read(queries.bookings), await snapshot.read(queries.unsettled)
    reserved = [
        Violation(booking, f"{intent.id} reserves {intent.held}")
        for booking, intents in (await snapshot.read(queries.intents)).items()
        for intent in intents
        if intent.held and booking not in moving
    ]
    unclosed = "SELECT booking_id::text AS id, state FROM attempts WHERE closed_at IS NULL AND state <> 'captured'"
    return reserved + [
        Violation(row.id, f"its attempt is still {row.state}")
        for row in await snapshot.rows(unclosed, "payment")
        if row.id in bookings and row.id not in moving
    ]


_KEPT_BY_CANCELLED = f"""
    WITH RECURSIVE known AS (  -- all refunds; late is what came after the cancellation began, also by a buyer
        SELECT r.id, r.booking_id, r.cause, r.fee,
               r.cause = 'event_cancelled' OR coalesce(r.created_at >= c.started_at, false) AS is_late
        FROM refunds r JOIN bookings b ON b.id = r.booking_id LEFT JOIN cancellations c ON c.event_id = b.event_id
        WHERE {EVENT_FILTER.format("b.event_id")}
    ), earlier AS (  -- tickets that were given back before the cancellation, and those exchanged for them
        SELECT t.booking_id, t.id AS ticket FROM tickets t JOIN known r ON r.id = t.refund_id
        WHERE NOT r.is_late
        UNION ALL
        SELECT e.booking_id, e.ticket FROM earlier
        JOIN exchanges e ON e.booking_id = earlier.booking_id AND e.new_ticket = earlier.ticket
    ), refunded AS (
        SELECT b.id, b.amount - b.refunded AS kept,
               (SELECT coalesce(sum(r.fee), 0) FROM known r
                WHERE r.booking_id = b.id AND r.cause IN ('buyer', 'staff') AND NOT r.is_late)
               + (SELECT coalesce(sum(e.fee), 0) FROM exchanges e JOIN earlier ON earlier.ticket = e.new_ticket
                  WHERE e.booking_id = b.id) AS fees
        FROM bookings b
        WHERE b.status = 'refunded' AND {EVENT_FILTER.format("b.event_id")}
          AND EXISTS (SELECT FROM known r WHERE r.booking_id = b.id AND r.is_late)
    )
    SELECT id::text, kept, fees FROM refunded WHERE kept > fees
"""


async def a_cancelled_event_keeps_only_earlier_fees(snapshot: Snapshot) -> list[Violation]:
    """A booking refunded after its event's cancellation, by anyone, keeps only fees of tickets given back before.

    Exchanges of those tickets are among them; the fees of all other exchanges have gone back.
    """
    return [
        Violation(row.id, f"kept {row.kept}, of which {row.fees} were fees before the cancellation")
        for row in await snapshot.rows(_KEPT_BY_CANCELLED)
    ]


_ATTEMPTS = """
    SELECT booking_id::text AS booking, number, amount, state, intent_id FROM attempts
    WHERE state IN ('captured', 'declined', 'voided', 'refunded')
      AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
"""


async def attempts_match_the_provider(snapshot: Snapshot) -> list[Violation]:
    """The provider's intent of a finished payment attempt has the state of the attempt's row."""
    bookings, moving = await snapshot.read(queries.bookings), await snapshot.read(queries.unsettled)
    at_provider = await snapshot.read(queries.intents)
    violations = []
    async for row in snapshot.stream(_ATTEMPTS, "payment", ids=await snapshot.read(queries.booking_ids)):
        if row.booking not in bookings or row.booking in moving:
            continue
        intent = next((each for each in at_provider.get(row.booking, ()) if each.id == row.intent_id), None)
        if not _agree(row.state, row.amount, row.intent_id, intent):
            provider = (
                f"has {intent.captured - intent.refunded} and reserves {intent.held}" if intent else "has no intent"
            )
            violations.append(Violation(row.booking, f"attempt {row.number} is {row.state}, the provider {provider}"))
    return violations


_OWED_BY_ATTEMPTS = """
    SELECT booking_id::text AS booking, number, amount, currency, intent_id,
           state IN ('authorized', 'captured') AS has_money FROM attempts
    WHERE CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[]))
"""


async def money_is_of_the_amount_and_currency_owed(snapshot: Snapshot) -> list[Violation]:
    """Each payment attempt is in its booking's currency, and the provider has reserved or captured what it owes."""
    bookings, moving = await snapshot.read(queries.bookings), await snapshot.read(queries.unsettled)
    at_provider = {each.id: each for intents in (await snapshot.read(queries.intents)).values() for each in intents}
    violations = []
    async for row in snapshot.stream(_OWED_BY_ATTEMPTS, "payment", ids=await snapshot.read(queries.booking_ids)):
        booking = bookings.get(row.booking)
        if booking and booking.currency != row.currency:  # also of a booking whose money moves: neither ever changes
            detail = f"attempt {row.number} is in {row.currency}, its booking in {booking.currency}"
            violations.append(Violation(row.booking, detail))
        intent = at_provider.get(row.intent_id) if row.has_money else None
        if intent is None or row.booking in moving:
            continue
        theirs = (intent.held + intent.captured, intent.currency)
        if theirs != (row.amount, row.currency):
            detail = f"attempt {row.number} owes {row.amount} {row.currency}, the provider has {theirs[0]} {theirs[1]}"
            violations.append(Violation(row.booking, detail))
    return violations


def _agree(state: str, amount: int, intent_id: str | None, intent: RecordedIntent | None) -> bool:
    if intent is None:
        return intent_id is None and state == "voided"  # the reply to its creation was lost, or it was refused
    match state:
        case "captured":
            return intent.captured == amount
        case "refunded":
            return intent.captured == intent.refunded and not intent.held
        case _:
            return not intent.captured and not intent.held


def _kept(intents: Iterable[RecordedIntent]) -> dict[str, int]:
    """What is not zero, by currency."""
    kept = Counter[str]()
    for intent in intents:
        kept[intent.currency] += intent.captured - intent.refunded
    return {currency: amount for currency, amount in kept.items() if amount}


def _text(amounts: Mapping[str, int]) -> str:
    return " and ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items())) or "nothing"
