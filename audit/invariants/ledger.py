"""The double-entry ledger balances, and matches the attempts, the refunds and the provider."""

from __future__ import annotations

from audit import queries
from audit.snapshot import Snapshot, Violation

_UNBALANCED = """
    SELECT t.id, t.booking_id::text AS booking, t.kind, coalesce(e.currency, 'no entries') AS currency,
           coalesce(sum(e.amount), 0)::bigint AS off
    FROM ledger_transactions t LEFT JOIN ledger_entries e ON e.transaction_id = t.id
    WHERE (CAST(:ids AS uuid[]) IS NULL OR t.booking_id = ANY (CAST(:ids AS uuid[])))
    GROUP BY t.id, e.currency HAVING coalesce(sum(e.amount), 1) <> 0
"""


async def every_ledger_transaction_balances(snapshot: Snapshot) -> list[Violation]:
    """Each transaction has entries, and they sum to zero in each currency."""
    return [
        Violation(row.booking, f"transaction {row.id} ({row.kind}) is off by {row.off} {row.currency}")
        async for row in snapshot.stream(_UNBALANCED, "payment", ids=await snapshot.read(queries.booking_ids))
    ]


# The amounts that an attempt's row requires in the ledger: reserved now, captured in total, refunded in total.
_ATTEMPTS_AND_LEDGER = """
    SELECT * FROM (
        SELECT a.booking_id::text AS booking, a.number, a.state,
               CASE WHEN a.state = 'authorized' THEN a.amount ELSE 0 END AS held,
               CASE WHEN a.state IN ('captured', 'refunded') THEN a.amount ELSE 0 END AS captured,
               CASE WHEN a.state = 'refunded' THEN a.amount ELSE coalesce(r.amount, 0) END AS refunded,
               coalesce(l.held, 0) AS posted_held, coalesce(l.captured, 0) AS posted_captured,
               coalesce(l.refunded, 0) AS posted_refunded
        FROM attempts a
        LEFT JOIN (
            SELECT booking_id, attempt, sum(amount) AS amount FROM refunds
            WHERE state = 'succeeded' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
            GROUP BY 1, 2
        ) r ON r.booking_id = a.booking_id AND r.attempt = a.number
        LEFT JOIN (
            SELECT booking_id, attempt, currency, sum(amount) FILTER (WHERE account = 'provider_holds') AS held,
                   -sum(amount) FILTER (WHERE account = 'booking_revenue') AS captured,
                   sum(amount) FILTER (WHERE account = 'refunds') AS refunded
            FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
            WHERE kind <> 'fee' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
            GROUP BY 1, 2, 3
        ) l ON l.booking_id = a.booking_id AND l.attempt = a.number AND l.currency = a.currency
        WHERE a.state <> 'left' AND (CAST(:ids AS uuid[]) IS NULL OR a.booking_id = ANY (CAST(:ids AS uuid[])))
    ) both_sides
    WHERE (held, captured, refunded) <> (posted_held, posted_captured, posted_refunded)
"""


async def the_ledger_matches_attempts_and_refunds(snapshot: Snapshot) -> list[Violation]:
    """The postings of each attempt, in its currency, equal the amounts of its row and of its refunds' rows."""
    bookings = await snapshot.read(queries.bookings)
    return [
        Violation(
            row.booking,
            f"attempt {row.number} is {row.state}: reserved, captured, refunded {row.held}, {row.captured},"
            f" {row.refunded}; the ledger has {row.posted_held}, {row.posted_captured}, {row.posted_refunded}",
        )
        async for row in snapshot.stream(_ATTEMPTS_AND_LEDGER, "payment", ids=await snapshot.read(queries.booking_ids))
        if row.booking in bookings
    ]


_POSTED = """
    SELECT booking_id::text AS booking, currency,
           coalesce(sum(amount) FILTER (WHERE account = 'provider_holds'), 0) AS held,
           coalesce(sum(amount) FILTER (WHERE account = 'provider_clearing'), 0) AS kept
    FROM ledger_transactions JOIN ledger_entries ON transaction_id = id
    WHERE kind <> 'fee' AND (CAST(:ids AS uuid[]) IS NULL OR booking_id = ANY (CAST(:ids AS uuid[])))
    GROUP BY booking_id, currency
"""


async def the_ledger_matches_the_provider(snapshot: Snapshot) -> list[Violation]:
    """By booking and currency, ledger and provider have the same amounts reserved and kept (captured less refunded)."""
    bookings, moving = await snapshot.read(queries.bookings), await snapshot.read(queries.unsettled)
    ids = await snapshot.read(queries.booking_ids)
    posted = {
        (row.booking, row.currency): (int(row.held), int(row.kept))
        async for row in snapshot.stream(_POSTED, "payment", ids=ids)
    }
    there = await _at_provider(snapshot)
    nothing = (0, 0)
    return [
        Violation(booking, f"reserved and kept in {currency}: the ledger has {ledger}, the provider {provider}")
        for booking, currency in posted.keys() | there.keys()
        if booking in bookings and booking not in moving
        if (ledger := posted.get((booking, currency), nothing)) != (provider := there.get((booking, currency), nothing))
    ]


async def _at_provider(snapshot: Snapshot) -> dict[tuple[str, str], tuple[int, int]]:
    """What is reserved and kept, by booking and currency."""
    there: dict[tuple[str, str], tuple[int, int]] = {}
    for booking, intents in (await snapshot.read(queries.intents)).items():
        for each in intents:
            held, kept = there.get((booking, each.currency), (0, 0))
            there[booking, each.currency] = (held + each.held, kept + each.captured - each.refunded)
    return there
