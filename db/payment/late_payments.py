"""Attempts whose payment arrived, or may arrive, after their booking ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid5

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from db.outbox import append
from db.payment.attempts import CLOSED, Attempt, AttemptState, read_attempt
from db.payment.refunds import BY_HAND, TryState
from db.payment.tables import AttemptRow, RefundRow
from domain.domain_events import LatePaymentSettled, PaymentAuthorized, PaymentEvent
from domain.payments import LatePayment


async def find(connection: AsyncConnection, provider: str, intent_id: str) -> tuple[Attempt, bool] | None:
    """The attempt of an intent, and whether it is watched; None if the intent is unknown."""
    found = await connection.execute(
        select(AttemptRow).where(AttemptRow.provider == provider, AttemptRow.intent_id == intent_id)
    )
    row = found.one_or_none()
    return (read_attempt(row), row.watched) if row else None


async def live(connection: AsyncConnection, late: LatePayment) -> Attempt | None:
    """The attempt of a late payment, unless it is closed."""
    found = await find(connection, late.provider, late.intent_id)
    return found[0] if found and found[0].state not in CLOSED else None


async def is_older_than(connection: AsyncConnection, attempt: Attempt, age: timedelta) -> bool:
    """Whether the attempt is older than `age`, by the database's clock."""
    found = await connection.execute(select(AttemptRow.opened_at < func.now() - age).where(*_same(attempt)))
    return bool(found.scalar_one())


async def watch(connection: AsyncConnection, attempt: Attempt) -> None:
    """Mark the attempt as followed by a workflow, which is started again if it gets lost."""
    await connection.execute(update(AttemptRow).where(*_same(attempt), ~AttemptRow.watched).values(watched=True))


async def watched(connection: AsyncConnection, *, limit: int) -> list[LatePayment]:
    """Watched attempts, which a workflow should follow, in random order."""
    rows = await connection.execute(
        select(AttemptRow)
        .where(AttemptRow.watched, AttemptRow.intent_id.is_not(None))
        .order_by(func.random())
        .limit(limit)
    )
    names = ("provider", "intent_id", "booking_id", "exchange_id")
    return [LatePayment(**{name: getattr(row, name) for name in names}) for row in rows]


async def take_up(connection: AsyncConnection, attempt: Attempt) -> bool:
    """Make a closed attempt that is watched live again, because its payment arrived; repeated, no change.

    An attempt that has changed since it was read is left alone: a try that was left behind must not open it again.

    Returns:
        False if the booking has another live attempt.
    """
    other = aliased(AttemptRow)
    lives = exists().where(other.booking_id == attempt.booking_id, other.closed_at.is_(None))
    changed = await connection.execute(
        update(AttemptRow)
        .where(*_same(attempt), AttemptRow.state == attempt.state, AttemptRow.watched)
        .where(AttemptRow.closed_at.is_not(None), ~lives)
        .values(state=AttemptState.AUTHORIZED, closed_at=None, decline_code=None)
        .returning(AttemptRow)
    )
    if changed.one_or_none():
        await append(connection, attempt.booking_id, PaymentAuthorized(**attempt.facts()))
        return True
    now = await find(connection, attempt.provider, attempt.intent_id or "")
    return now is not None and now[0].state not in CLOSED


async def close(connection: AsyncConnection, attempt: Attempt, state: AttemptState, event: PaymentEvent) -> None:
    """Close an attempt, even one that is closed in another state, and append its event; repeated, no change."""
    values: dict[str, Any] = {"state": state, "closed_at": func.coalesce(AttemptRow.closed_at, func.now())}
    changed = await connection.execute(
        update(AttemptRow).where(*_same(attempt), AttemptRow.state != state).values(values)
    )
    if changed.rowcount:
        await append(connection, attempt.booking_id, event)


async def note_by_hand(connection: AsyncConnection, attempt: Attempt) -> None:
    """Record that an operator has given an attempt's money back another way; repeated, no change.

    Nothing is posted to the ledger: that is done where the attempt is closed.
    """
    given = {
        "refund_id": uuid5(attempt.booking_id, f"late:{attempt.number}"),
        "number": 1,
        "booking_id": attempt.booking_id,
        "attempt": attempt.number,
        "amount": attempt.amount.amount,
        "state": TryState.SUCCEEDED,
        "code": BY_HAND,
        "settled_at": func.now(),
    }
    await connection.execute(insert(RefundRow).values(given).on_conflict_do_nothing())


async def is_given_by_hand(connection: AsyncConnection, attempt: Attempt) -> bool:
    """Whether an operator has given its money back another way: what the provider still has is not the buyer's."""
    of_attempt = (RefundRow.booking_id == attempt.booking_id, RefundRow.attempt == attempt.number)
    return bool(await connection.scalar(select(exists().where(*of_attempt, RefundRow.code == BY_HAND))))


async def mint_keys(connection: AsyncConnection, attempt: Attempt) -> None:
    """As `attempts.mint_keys`, also for a closed attempt."""
    fresh = update(AttemptRow).where(*_same(attempt), AttemptRow.keys_minted == attempt.keys_minted)
    await connection.execute(fresh.values(keys_minted=attempt.keys_minted + 1))


async def settle(connection: AsyncConnection, attempt: Attempt, event: LatePaymentSettled | None) -> None:
    """Stop watching an attempt and append, once, the event about its payment; None if there was no payment."""
    changed = await connection.execute(
        update(AttemptRow).where(*_same(attempt), AttemptRow.watched).values(watched=False)
    )
    if changed.rowcount and event:
        await append(connection, attempt.booking_id, event)


def _same(attempt: Attempt) -> tuple[Any, ...]:
    return AttemptRow.booking_id == attempt.booking_id, AttemptRow.number == attempt.number
