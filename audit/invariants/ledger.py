"""The ledger in double entry, held against itself, against what it books, and against the provider."""

from __future__ import annotations

from audit import queries
from audit.snapshot import Broken, Look

_UNBALANCED = """
    SELECT t.id, t.booking_id::text AS booking, t.kind, coalesce(e.currency, 'no entries') AS currency,
           coalesce(sum(e.amount), 0)::bigint AS off
    FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.transaction_id = t.id
    WHERE (CAST(:ids AS uuid[]) IS NULL OR t.booking_id = ANY (CAST(:ids AS uuid[])))
    GROUP BY t.id, e.currency HAVING coalesce(sum(e.amount), 1) <> 0
"""


async def every_ledger_transaction_balances(look: Look) -> list[Broken]:
    """Each transaction has entries, and they sum to zero in each currency."""
    return [
        Broken(row.booking, f"transaction {row.id} ({row.kind}) is off by {row.off} {row.currency}")
        async for row in look.stream(_UNBALANCED, "payment", ids=await look.once(queries.booking_ids))
    ]


# What an attempt's row says that must be booked: reserved now, taken in all, and given back in all.
_ATTEMPTS_AND_LEDGER = """
    SELECT * FROM (
        SELECT a.booking_id::text AS booking, a.number, a.state,
               CASE WHEN a.state = 'authorized' THEN a.amount ELSE 0 END AS held,
               CASE WHEN a.state IN ('captured', 'refunded') THEN a.amount ELSE 0 END AS captured,
               CASE WHEN a.state = 'refunded' THEN a.amount ELSE coalesce(r.amount, 0) END AS refunded,
               coalesce(l.held, 0) AS booked_held, coalesce(l.captured, 0) AS booked_captured,
               coalesce(l.refunded, 0) AS booked_refunded
        FROM attempts a
        LEFT JOIN (
            SELECT booking_id, attempt, sum(amount) AS amount FROM refunds
            WHERE state = 'succeeded' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
            GROUP BY 1, 2
        ) r ON r.booking_id = a.booking_id AND r.attempt = a.number
        LEFT JOIN (
            SELECT booking_id, attempt, sum(amount) FILTER (WHERE account = 'provider_holds') AS held,
                   -sum(amount) FILTER (WHERE account = 'booking_revenue') AS captured,
                   sum(amount) FILTER (WHERE account = 'refunds') AS refunded
            FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
            WHERE kind <> 'fee' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
            GROUP BY 1, 2
        ) l ON l.booking_id = a.booking_id AND l.attempt = a.number
        WHERE a.state <> 'left' AND (CAST(:ids AS uuid[]) IS NULL OR a.booking_id = ANY (CAST(:ids AS uuid[])))
    ) both_sides
    WHERE (held, captured, refunded) <> (booked_held, booked_captured, booked_refunded)
"""


async def the_ledger_says_what_attempts_and_refunds_say(look: Look) -> list[Broken]:
    """What is booked of an attempt is what its row and its refunds' rows say."""
    bookings = await look.once(queries.bookings)
    return [
        Broken(
            row.booking,
            f"attempt {row.number} is {row.state}: reserved, taken, given back {row.held}, {row.captured},"
            f" {row.refunded}; the ledger has {row.booked_held}, {row.booked_captured}, {row.booked_refunded}",
        )
        async for row in look.stream(_ATTEMPTS_AND_LEDGER, "payment", ids=await look.once(queries.booking_ids))
        if row.booking in bookings
    ]


_BOOKED = """
    SELECT booking_id::text AS booking, coalesce(sum(amount) FILTER (WHERE account = 'provider_holds'), 0) AS held,
           coalesce(sum(amount) FILTER (WHERE account = 'provider_clearing'), 0) AS kept
    FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
    WHERE kind <> 'fee' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
    GROUP BY booking_id
"""


async def the_ledger_says_what_the_provider_says(look: Look) -> list[Broken]:
    """Of each booking the ledger has reserved, and taken and not given back, what the provider has."""
    bookings, moving = await look.once(queries.bookings), await look.once(queries.moving)
    ids = await look.once(queries.booking_ids)
    booked = {row.booking: (int(row.held), int(row.kept)) async for row in look.stream(_BOOKED, "payment", ids=ids)}
    there = {
        booking: (sum(each.held for each in intents), sum(each.captured - each.refunded for each in intents))
        for booking, intents in (await look.once(queries.intents)).items()
    }
    nothing = (0, 0)
    return [
        Broken(booking, f"reserved and kept: the ledger has {ours}, the provider {theirs}")
        for booking in booked.keys() | there.keys()
        if booking in bookings and booking not in moving
        if (ours := booked.get(booking, nothing)) != (theirs := there.get(booking, nothing))
    ]
