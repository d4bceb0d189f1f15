"""The buyer's money: what the provider has, what we believe that it has, and what the buyer owes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from audit import queries
from audit.probes.sandbox_ledger import RecordedIntent
from audit.queries import Facts
from audit.snapshot import Broken, Look
from domain.bookings import PAID


def owed(booking: Facts) -> int:
    """What a booking owes, in minor units: if paid, its price and what exchanges cost, less what has gone back."""
    return booking.amount - booking.refunded if booking.status in PAID else 0


async def money_taken_is_money_owed(look: Look) -> list[Broken]:
    """Captured minus refunded is what a booking owes: its price less what it got back if paid, else nothing."""
    bookings, moving = await look.once(queries.bookings), await look.once(queries.moving)
    kept = {booking: _kept(intents) for booking, intents in (await look.once(queries.intents)).items()}
    owes = {id: owed(booking) for id, booking in bookings.items()}
    return [
        Broken(booking, f"kept {kept.get(booking, 0)}, owed {owes.get(booking, 0)}")
        for booking in owes.keys() | kept.keys()
        if booking not in moving and kept.get(booking, 0) != owes.get(booking, 0)
    ]


async def a_booking_is_paid_once(look: Look) -> list[Broken]:
    """At most one intent has the buyer's money, taken or reserved, for a booking and for each of its exchanges."""
    exchange = await look.once(queries.exchange_of_intent)
    paid: dict[tuple[str, str | None], list[str]] = defaultdict(list)
    for booking, intents in (await look.once(queries.intents)).items():
        for intent in intents:
            if intent.held or intent.captured > intent.refunded:
                paid[booking, exchange.get(intent.id)].append(intent.id)
    return [Broken(booking, f"paid by {', '.join(sorted(ids))}") for (booking, _), ids in paid.items() if len(ids) > 1]


async def nothing_stays_authorized(look: Look) -> list[Broken]:
    """A booking that has ended keeps no money reserved, and no payment attempt open."""
    bookings, moving = await look.once(queries.bookings), await look.once(queries.moving)
    reserved = [
        Broken(booking, f"{intent.id} reserves {intent.held}")
        for booking, intents in (await look.once(queries.intents)).items()
        for intent in intents
        if intent.held and booking not in moving
    ]
    unclosed = "SELECT booking_id::text AS id, state FROM attempts WHERE closed_at IS NULL AND state <> 'captured'"
    return reserved + [
        Broken(row.id, f"its attempt is still {row.state}")
        for row in await look.rows(unclosed, "payment")
        if row.id in bookings and row.id not in moving
    ]


_ATTEMPTS = """
    SELECT booking_id::text AS booking, number, amount, state, intent_id FROM attempts
    WHERE state IN ('captured', 'declined', 'voided', 'refunded')
      AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
"""


async def attempts_say_what_the_provider_says(look: Look) -> list[Broken]:
    """Where a payment attempt is done, its intent at the provider is where our row says that it is."""
    bookings, moving = await look.once(queries.bookings), await look.once(queries.moving)
    at_provider = await look.once(queries.intents)
    broken = []
    async for row in look.stream(_ATTEMPTS, "payment", ids=await look.once(queries.booking_ids)):
        if row.booking not in bookings or row.booking in moving:
            continue
        intent = next((each for each in at_provider.get(row.booking, ()) if each.id == row.intent_id), None)
        if not _agree(row.state, row.amount, row.intent_id, intent):
            provider = f"has {intent.captured - intent.refunded} and reserves {intent.held}" if intent else "knows none"
            broken.append(Broken(row.booking, f"attempt {row.number} is {row.state}, the provider {provider}"))
    return broken


def _agree(state: str, amount: int, intent_id: str | None, intent: RecordedIntent | None) -> bool:
    if intent is None:
        return intent_id is None and state == "voided"  # the answer to its creation was lost, or it was refused
    match state:
        case "captured":
            return intent.captured == amount
        case "refunded":
            return intent.captured == intent.refunded and not intent.held
        case _:
            return not intent.captured and not intent.held


def _kept(intents: Iterable[RecordedIntent]) -> int:
    return sum(intent.captured - intent.refunded for intent in intents)
