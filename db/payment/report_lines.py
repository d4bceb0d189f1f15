"""The lines of providers' settlement reports: kept by day, with their fees posted, and deleted when they are old."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.reconciliation import Movement

_KEEP = text(
    """
    INSERT INTO provider_movements
        (provider, reference, kind, day, booking_id, intent_id, amount, currency, happened_at)
    VALUES (:provider, :reference, :kind, :day,
            coalesce(CAST(:booking_id AS uuid),
                     (SELECT a.booking_id FROM attempts a WHERE a.provider = :provider AND a.intent_id = :intent_id)),
            :intent_id, :amount, :currency, :happened_at)
    ON CONFLICT (provider, reference, kind)
    DO UPDATE SET day = excluded.day, booking_id = excluded.booking_id, intent_id = excluded.intent_id,
                  amount = excluded.amount, currency = excluded.currency, kept_at = now()
    RETURNING booking_id
    """
)
# A fee belongs to the attempt that captured the money, if there is one.
_BOOK_FEE = text(
    """
    SELECT book_fee(:provider, :reference, booking_id, number, :fee_currency, :fee) FROM attempts
    WHERE booking_id = :booking_id AND provider = :provider
    ORDER BY intent_id IS NOT DISTINCT FROM CAST(:intent_id AS text) DESC,
             state IN ('captured', 'refunded') DESC, number DESC LIMIT 1
    """
)


async def keep(connection: AsyncConnection, provider: str, day: date, movements: Sequence[Movement]) -> None:
    """Store lines of a report, and post their fees; repeated, no change."""
    for movement in movements:
        values = {
            "provider": provider,
            "reference": movement.reference,
            "kind": movement.kind,
            "day": day,
            "booking_id": movement.booking_id,
            "intent_id": movement.intent_id,
            "amount": movement.amount.amount,
            "currency": movement.amount.currency,
            "happened_at": movement.happened_at,
        }
        booking_id = (await connection.execute(_KEEP, values)).scalar_one()
        if movement.fee and movement.fee.amount and booking_id:
            fee = {"fee": movement.fee.amount, "fee_currency": movement.fee.currency, "booking_id": booking_id}
            names = ("provider", "reference", "intent_id")
            await connection.execute(_BOOK_FEE, fee | {name: values[name] for name in names})


async def now(connection: AsyncConnection) -> str:
    """The database's time as text; what is kept afterwards is not older."""
    return str((await connection.execute(text("SELECT now()"))).scalar_one())


async def drop_older(connection: AsyncConnection, provider: str, day: date, since: str) -> None:
    """Delete the day's lines that were last listed before `since`: a fetch that began then has not found them."""
    await connection.execute(
        text(
            """
            DELETE FROM provider_movements
            WHERE provider = :provider AND day = :day AND kept_at < CAST(CAST(:since AS text) AS timestamptz)
            """
        ),
        {"provider": provider, "day": day, "since": since},
    )


async def count(connection: AsyncConnection, provider: str, day: date) -> int:
    """How many lines the report of that day had."""
    found = text("SELECT count(*) FROM provider_movements WHERE provider = :provider AND day = :day")
    return int((await connection.execute(found, {"provider": provider, "day": day})).scalar_one())


# A day that is fetched once more, as for an operator, keeps its lines until it is compared once more. Disputes go on
# for months, and no report of a later day has their lines.
_PRUNE = text(
    """
    WITH old AS MATERIALIZED (
        SELECT line.provider, line.reference, line.kind
        FROM provider_movements line JOIN reconciled_days compared USING (provider, day)
        WHERE line.provider = :provider AND line.kept_at < now() - CAST(:age AS interval)
          AND compared.finished_at >= line.kept_at
          AND line.kind NOT IN ('disputed', 'dispute_reversed')
          AND NOT EXISTS (SELECT FROM reconciliation_differences found
                          WHERE found.provider = line.provider AND found.day = line.day AND found.resolved_at IS NULL)
        LIMIT :limit FOR UPDATE OF line SKIP LOCKED
    )
    DELETE FROM provider_movements line USING old
    WHERE (line.provider, line.reference, line.kind) = (old.provider, old.reference, old.kind)
    """
)


async def prune(connection: AsyncConnection, provider: str, age: timedelta, limit: int) -> int:
    """Delete some lines that are older than `age`, of days that have been compared and have no open difference.

    Returns:
        How many; fewer than `limit` if no others are left. Their day can be fetched again.
    """
    return (await connection.execute(_PRUNE, {"provider": provider, "age": age, "limit": limit})).rowcount
