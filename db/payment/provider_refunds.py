"""Refunds that a provider made without our request, for example from its dashboard.

They are learned from the provider's own sums. Each becomes a try that has succeeded, so that the ledger and all later
refunds count it.
"""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.payment.attempts import Attempt
from db.payment.refunds import BY_PROVIDER, Try, TryState, lock_attempt, note
from db.payment.tables import AttemptRow, RefundRow
from domain.money import Money
from domain.payments import RefundByProvider


async def learn(connection: AsyncConnection, attempt: Attempt, refunded: int, ours_before: int) -> None:
    """Record what a provider has refunded beyond our tries; repeated, no change.

    A try whose outcome is not known yet counts as ours, so that no money is counted twice. So does one that was known
    to have failed only after the provider was asked: its sum may still have it.

    Args:
        connection: In a transaction of the payment service's database.
        attempt: Whose money; it is captured.
        refunded: Minor units that the provider has refunded of it in all.
        ours_before: What `ours` said before the provider was asked.
    """
    await lock_attempt(connection, attempt.booking_id, attempt.number)
    excess = refunded - max(ours_before, await ours(connection, attempt))
    if excess <= 0:
        return
    refund_id = uuid4()
    opened = {"refund_id": refund_id, "number": 1, "booking_id": attempt.booking_id, "attempt": attempt.number}
    await connection.execute(insert(RefundRow).values(**opened, amount=excess))
    made = Try(
        refund_id,
        1,
        attempt.booking_id,
        attempt.number,
        attempt.provider,
        attempt.intent_id or "",
        Money(amount=excess, currency=attempt.amount.currency),
        TryState.OPEN,
        None,
        0,
    )
    await note(connection, made, TryState.SUCCEEDED, BY_PROVIDER)


async def ours(connection: AsyncConnection, attempt: Attempt) -> int:
    """Minor units of an attempt that tries have given back or may have: all but those that failed."""
    counted = select(func.coalesce(func.sum(RefundRow.amount), 0)).where(
        RefundRow.booking_id == attempt.booking_id,
        RefundRow.attempt == attempt.number,
        RefundRow.state != TryState.FAILED,
    )
    return int((await connection.execute(counted)).scalar_one())


async def of_booking(
    connection: AsyncConnection, booking_id: UUID, payments: Collection[UUID | None] | None = None
) -> tuple[RefundByProvider, ...]:
    """What providers have refunded of a booking without our request, oldest first.

    Args:
        connection: To the payment service's database.
        booking_id: Which booking.
        payments: Of which of its payments: those of these exchanges, and with None its own. None as a whole: of all.
    """
    of_attempt = (AttemptRow.booking_id == RefundRow.booking_id) & (AttemptRow.number == RefundRow.attempt)
    made = (
        select(RefundRow.refund_id, RefundRow.amount, AttemptRow.exchange_id)
        .join(AttemptRow, of_attempt)
        .where(RefundRow.booking_id == booking_id)
        .where(RefundRow.code == BY_PROVIDER, RefundRow.state == TryState.SUCCEEDED)
        .order_by(RefundRow.opened_at, RefundRow.refund_id)
    )
    return tuple(
        RefundByProvider(refund_id=row.refund_id, amount=row.amount)
        for row in await connection.execute(made)
        if payments is None or row.exchange_id in payments
    )


def total(refunds: Collection[RefundByProvider]) -> int:
    """Minor units of these refunds together."""
    return sum(refund.amount for refund in refunds)
