"""Settlement reports of providers, compared with the ledger day by day, and the differences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.attempts import COLUMNS, Attempt, read_attempt
from domain.reconciliation import Difference, LedgerAmounts


class Payment(NamedTuple):
    """One attempt of a booking at a provider.

    Attributes:
        amounts: According to the ledger now.
        is_listed: Whether a line that is still kept names its intent.
    """

    attempt: Attempt
    amounts: LedgerAmounts
    is_listed: bool


class Listed(NamedTuple):
    """What a provider has listed about one booking.

    The amounts are in minor units, of lines without an intent, over all days: what the provider says of a payment is of
    its whole life, too. For the time before the first line that is still kept, the ledger stands in.

    Attributes:
        held: What was ever reserved.
        strange_intents: The intents of the day's lines that no attempt has.
        words: The lines of no payment that we know, for an operator.
    """

    captured: int
    refunded: int
    held: int
    strange_intents: tuple[str, ...]
    words: str


async def strangers(connection: AsyncConnection, provider: str, day: date) -> list[tuple[str, str]]:
    """Lines of the report that name no known booking: their references and contents."""
    found = await connection.execute(
        text(
            """
            SELECT reference, kind || ' ' || amount || ' ' || currency AS words FROM provider_movements
            WHERE provider = :provider AND day = :day AND booking_id IS NULL ORDER BY reference
            """
        ),
        {"provider": provider, "day": day},
    )
    return [(row.reference, row.words) for row in found]


# A line of an intent that no attempt has, even if the booking is known.
_IS_STRANGE = """
    line.intent_id IS NOT NULL AND NOT EXISTS (
        SELECT FROM attempts a WHERE a.provider = line.provider AND a.intent_id = line.intent_id)
"""

_BOOKED = """
    coalesce(sum(e.amount) FILTER (WHERE t.kind = 'authorized' AND account = 'provider_holds'), 0) AS authorized,
    coalesce(-sum(e.amount) FILTER (WHERE account = 'booking_revenue'), 0) AS taken,
    coalesce(sum(e.amount) FILTER (WHERE account = 'refunds'), 0) AS given
"""

# Bookings without any doubt are left out here; the others are retrieved from the provider, one by one. A day's end
# is in the middle of some bookings: they are retrieved, and then are correct.
# A `held` line with an intent is there only while the money is reserved, and one without an intent stays for ever. So
# the first is compared with what the ledger reserves now, and the second with what it ever reserved. A payment of
# another day must not hide an unknown one of this day: so lines without an intent are compared over one day and over
# all days. A reservation that is released has no line, and is retrieved.
_SUSPECTS = text(
    f"""
    WITH theirs AS (
        SELECT booking_id, currency,
               coalesce(sum(amount) FILTER (WHERE kind = 'captured'), 0) AS captured,
               coalesce(sum(amount) FILTER (WHERE kind = 'refunded'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind = 'refund_failed'), 0) AS refunded,
               coalesce(sum(amount) FILTER (WHERE kind = 'held' AND intent_id IS NULL), 0) AS held,
               coalesce(sum(amount) FILTER (WHERE kind = 'held' AND intent_id IS NOT NULL), 0) AS held_now,
               bool_or({_IS_STRANGE} OR kind IN ('disputed', 'dispute_reversed')) AS is_doubtful
        FROM provider_movements line
        WHERE provider = :provider AND day = :day AND booking_id > :after GROUP BY booking_id, currency
    ), kept AS (
        SELECT booking_id, currency,
               coalesce(sum(amount) FILTER (WHERE kind = 'captured'), 0) AS all_captured,
               coalesce(sum(amount) FILTER (WHERE kind = 'held'), 0) AS all_held
        FROM provider_movements
        WHERE provider = :provider AND intent_id IS NULL AND booking_id IN (SELECT booking_id FROM theirs)
        GROUP BY booking_id, currency
    ), ours AS (
        SELECT t.booking_id, e.currency, {_BOOKED}, bool_or(t.kind = 'voided') AS is_released
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE t.provider = :provider AND t.kind <> 'fee' AND t.booking_id > :after
          AND t.booked_at >= CAST(:day AS date)::timestamp AT TIME ZONE 'UTC'
          AND t.booked_at < (CAST(:day AS date) + 1)::timestamp AT TIME ZONE 'UTC'
        GROUP BY t.booking_id, e.currency
    ), that_day AS (
        SELECT booking_id, currency, captured, refunded, held, held_now, is_doubtful,
               authorized, taken, given, is_released
        FROM theirs FULL JOIN ours USING (booking_id, currency)
    )
    SELECT DISTINCT that_day.booking_id FROM that_day LEFT JOIN kept USING (booking_id, currency), LATERAL (
        SELECT {_BOOKED}, coalesce(sum(e.amount) FILTER (WHERE account = 'provider_holds'), 0) AS reserved
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE t.booking_id = that_day.booking_id AND t.provider = :provider AND t.kind <> 'fee'
          AND e.currency = that_day.currency
    ) ever
    WHERE NOT :has_list
       OR coalesce(captured, 0) <> coalesce(that_day.taken, 0)
       OR coalesce(refunded, 0) <> coalesce(that_day.given, 0)
       OR is_doubtful
       OR is_released
       OR that_day.authorized > 0 AND ever.reserved <> 0
       OR held_now > ever.reserved
       OR held > coalesce(that_day.authorized, 0)
       OR all_captured > ever.taken
       OR all_held > ever.authorized
    ORDER BY booking_id LIMIT :limit
    """
)


async def suspects(
    connection: AsyncConnection, provider: str, day: date, *, has_list: bool, after: UUID, limit: int
) -> list[UUID]:
    """The next bookings, by id, for which ledger and report differ on that day; without a report, all."""
    values = {"provider": provider, "day": day, "has_list": has_list, "after": after, "limit": limit}
    return list((await connection.execute(_SUSPECTS, values)).scalars())


# So that what the provider says about such a payment does not count for lines without an intent as well.
_HAS_LINE = """
    EXISTS (SELECT FROM provider_movements line WHERE (line.provider, line.booking_id, line.intent_id)
                                                    = (a.provider, a.booking_id, a.intent_id))
"""

_OF_ATTEMPT = ", ".join(f"a.{column}" for column in COLUMNS.split(", "))

_PAYMENTS = text(
    f"""
    SELECT {_OF_ATTEMPT}, booked.id IS NOT NULL AS is_known, {_HAS_LINE} AS is_listed,
           coalesce(booked.held, 0) AS held, coalesce(booked.captured, 0) AS captured,
           coalesce(booked.refunded, 0) AS refunded, coalesce(pending.amount, 0) AS pending,
           greatest(disputed.amount, 0)::bigint AS disputed
    FROM attempts a
    LEFT JOIN LATERAL (
        SELECT max(t.id) AS id, sum(e.amount) FILTER (WHERE account = 'provider_holds') AS held,
               -sum(e.amount) FILTER (WHERE account = 'booking_revenue') AS captured,
               sum(e.amount) FILTER (WHERE account = 'refunds') AS refunded
        FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        WHERE t.booking_id = a.booking_id AND t.attempt = a.number AND t.kind <> 'fee'
    ) booked ON true
    LEFT JOIN LATERAL (
        SELECT sum(r.amount) AS amount FROM refunds r
        WHERE r.booking_id = a.booking_id AND r.attempt = a.number AND r.state IN ('open', 'pending')
    ) pending ON true
    LEFT JOIN LATERAL (
        SELECT sum(CASE WHEN line.kind = 'disputed' THEN line.amount ELSE -line.amount END) AS amount
        FROM provider_movements line WHERE line.provider = a.provider AND line.booking_id = a.booking_id
          AND line.intent_id = a.intent_id AND line.kind IN ('disputed', 'dispute_reversed')
    ) disputed ON true
    WHERE a.booking_id = :booking_id AND a.provider = :provider ORDER BY a.number
    """
)


async def payments(connection: AsyncConnection, provider: str, booking_id: UUID) -> list[Payment]:
    """A booking's attempts at a provider, according to the ledger now."""
    rows = await connection.execute(_PAYMENTS, {"provider": provider, "booking_id": booking_id})
    return [
        Payment(
            read_attempt(row),
            LedgerAmounts(
                currency=row.currency,
                is_known=row.is_known,
                held=row.held,
                captured=row.captured,
                refunded=row.refunded,
                pending=row.pending,
                disputed=row.disputed,
            ),
            row.is_listed,
        )
        for row in rows
    ]


# The ledger may post a payment up to a day before the day under which the provider lists it: time zones differ.
_LISTED = text(
    f"""
    WITH lines AS (
        SELECT reference, kind, day, intent_id, amount, currency, {_IS_STRANGE} AND day = :day AS is_strange
        FROM provider_movements line
        WHERE provider = :provider AND booking_id = :booking_id
    ), earlier AS (
        SELECT {_BOOKED} FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id
        JOIN attempts a ON (a.booking_id, a.number) = (t.booking_id, t.attempt)
        WHERE t.booking_id = :booking_id AND t.provider = :provider AND t.kind <> 'fee' AND NOT {_HAS_LINE}
          AND t.booked_at < (SELECT min(day) - 1 FROM lines WHERE intent_id IS NULL)::timestamp AT TIME ZONE 'UTC'
    ), listed AS (
        SELECT coalesce(sum(amount) FILTER (WHERE kind = 'captured'), 0) AS captured,
               coalesce(sum(amount) FILTER (WHERE kind = 'refunded'), 0)
                 - coalesce(sum(amount) FILTER (WHERE kind = 'refund_failed'), 0) AS refunded,
               coalesce(sum(amount) FILTER (WHERE kind = 'held'), 0) AS held
        FROM lines WHERE intent_id IS NULL
    )
    SELECT (captured + taken)::bigint AS captured, (refunded + given)::bigint AS refunded,
           (held + authorized)::bigint AS held,
           (SELECT coalesce(array_agg(DISTINCT intent_id), '{{}}') FROM lines WHERE is_strange) AS strange_intents,
           (SELECT string_agg(format('%s %s %s (%s)', kind, amount, currency,
                                     concat_ws(' of ', reference, nullif(intent_id, reference))),
                              ', ' ORDER BY day, reference)
            FROM lines WHERE intent_id IS NULL OR is_strange) AS words
    FROM listed, earlier
    """
)


async def listed(connection: AsyncConnection, provider: str, day: date, booking_id: UUID) -> Listed:
    """What the provider's reports have about a booking, of which that day's is one."""
    row = (await connection.execute(_LISTED, {"provider": provider, "day": day, "booking_id": booking_id})).one()
    return Listed(row.captured, row.refunded, row.held, tuple(row.strange_intents), row.words or "")


_HAD_ENDED = "finished_at >= (day + 1)::timestamp AT TIME ZONE 'UTC'"

_NOTE = text(
    """
    INSERT INTO reconciliation_differences (provider, day, subject, kind, ours, theirs)
    VALUES (:provider, :day, :subject, :kind, :ours, :theirs)
    ON CONFLICT (provider, day, subject, kind)
    DO UPDATE SET ours = excluded.ours, theirs = excluded.theirs, seen_at = now(), resolved_at = NULL
    """
)


async def note(connection: AsyncConnection, found: Sequence[Difference]) -> None:
    """Store differences; a known one gets a new time."""
    for difference in found:
        await connection.execute(_NOTE, difference.model_dump())


async def finish(connection: AsyncConnection, provider: str, day: date, found: Sequence[Difference]) -> None:
    """Resolve the differences that this run did not find again, and record the run."""
    of_day = {"provider": provider, "day": day}
    seen = {"subjects": [each.subject for each in found], "kinds": [str(each.kind) for each in found]}
    await connection.execute(
        text(
            """
            UPDATE reconciliation_differences SET resolved_at = now()
            WHERE provider = :provider AND day = :day AND resolved_at IS NULL AND (subject, kind) NOT IN
                (SELECT s, k FROM unnest(CAST(:subjects AS text[]), CAST(:kinds AS text[])) AS seen (s, k))
            """
        ),
        of_day | seen,
    )
    await connection.execute(
        text(
            """
            INSERT INTO reconciled_days (provider, day) VALUES (:provider, :day)
            ON CONFLICT (provider, day) DO UPDATE SET finished_at = now()
            """
        ),
        of_day,
    )


async def count_open(connection: AsyncConnection) -> dict[tuple[str, str], int]:
    """How many differences are open over all days, by provider and kind."""
    still = "SELECT provider, kind, count(*) FROM reconciliation_differences WHERE resolved_at IS NULL GROUP BY 1, 2"
    return {(provider, kind): so_many for provider, kind, so_many in await connection.execute(text(still))}


async def last_days(connection: AsyncConnection) -> dict[str, date]:
    """The latest day of each provider that was reconciled after its end."""
    last = f"SELECT provider, max(day) AS day FROM reconciled_days WHERE {_HAD_ENDED} GROUP BY provider"
    return {row.provider: row.day for row in await connection.execute(text(last))}


async def days_due(connection: AsyncConnection, provider: str, until: date, at_most: int) -> list[date]:
    """The days up to `until` that were not reconciled after their end, within a limit.

    The newest comes first: a day that cannot be reconciled, and takes hours to find that out, keeps older ones waiting
    at most.
    """
    done = await connection.execute(
        text(
            f"""
            SELECT day FROM reconciled_days WHERE provider = :provider AND day > :since AND {_HAD_ENDED}
            """
        ),
        {"provider": provider, "since": until - timedelta(days=at_most)},
    )
    known = set(done.scalars())
    days = [until - timedelta(days=back) for back in range(at_most)]
    return [day for day in days if day not in known]
