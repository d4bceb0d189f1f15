"""Tries to give money back as rows: a try may begin only when the one before it has failed for certain."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.payment import attempts
from db.payment.attempts import AttemptState
from db.payment.tables import AttemptRow, RefundRow
from domain.domain_events import PaymentRefunded
from domain.money import Money


class TryState(StrEnum):
    OPEN = "open"  # the provider has been asked, or is about to be
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


SETTLED = frozenset({TryState.SUCCEEDED, TryState.FAILED})


class Try(NamedTuple):
    """One try to give the money of a refund back.

    Attributes:
        is_new: Nobody can have asked the provider under its key before.
    """

    refund_id: UUID
    number: int
    booking_id: UUID
    attempt: int
    provider: str
    intent_id: str
    amount: Money
    state: TryState
    code: str | None
    keys_minted: int
    is_new: bool

    @property
    def key(self) -> str:
        """The idempotency key: the same for every repetition, another once it has proved to be spent."""
        number = f":{self.number}" if self.number > 1 else ""
        minted = f":minted-{self.keys_minted}" if self.keys_minted else ""
        return f"{self.booking_id}:refund:{self.refund_id}{number}{minted}"


async def open_try(
    connection: AsyncConnection, refund_id: UUID, booking_id: UUID, number: int, amount: int
) -> Try | None:
    """The try of this number, opened if it is new; None where the booking has no money taken.

    Raises:
        IntegrityError: The try before it may still succeed.
    """
    known = await _find(connection, refund_id, number, is_new=False)
    if known:
        return known
    attempt = await attempts.live(connection, booking_id)
    if attempt is None or attempt.state is not AttemptState.CAPTURED:
        return None
    values = {
        "refund_id": refund_id,
        "number": number,
        "booking_id": booking_id,
        "attempt": attempt.number,
        "amount": amount,
    }
    made = await connection.execute(
        insert(RefundRow)
        .values(values)
        .on_conflict_do_nothing(index_elements=["refund_id", "number"])
        .returning(RefundRow.number)
    )
    return await _find(connection, refund_id, number, is_new=made.one_or_none() is not None)


async def _find(connection: AsyncConnection, refund_id: UUID, number: int, *, is_new: bool) -> Try | None:
    of_attempt = (AttemptRow.booking_id == RefundRow.booking_id) & (AttemptRow.number == RefundRow.attempt)
    found = await connection.execute(
        select(RefundRow, AttemptRow.provider, AttemptRow.intent_id, AttemptRow.currency)
        .join(AttemptRow, of_attempt)
        .where(RefundRow.refund_id == refund_id, RefundRow.number == number)
    )
    row = found.one_or_none()
    return _try(row, is_new) if row else None


def _try(row: Row[*tuple[Any, ...]], is_new: bool) -> Try:
    return Try(
        row.refund_id,
        row.number,
        row.booking_id,
        row.attempt,
        row.provider,
        row.intent_id,
        Money(amount=row.amount, currency=row.currency),
        TryState(row.state),
        row.code,
        row.keys_minted,
        is_new,
    )


async def mint_key(connection: AsyncConnection, given: Try) -> None:
    """Have the next call use a new key, since the provider's saved answer to this one is known to be a failure."""
    await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.keys_minted == given.keys_minted)
        .values(keys_minted=given.keys_minted + 1)
    )


async def note(connection: AsyncConnection, given: Try, state: TryState, code: str | None = None) -> None:
    """Remember what the provider says of a try; when the money has gone back, tell it, once."""
    # The attempt's lock makes refunds of one booking queue up, for the sum below and for the sequence of what is told.
    await connection.execute(
        select(AttemptRow.number)
        .where(AttemptRow.booking_id == given.booking_id, AttemptRow.number == given.attempt)
        .with_for_update()
    )
    changed = await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.state.not_in(SETTLED))
        .values(state=state, code=code, settled_at=func.now() if state in SETTLED else None)
    )
    if changed.rowcount and state is TryState.SUCCEEDED:
        await _tell(connection, given)
        await _close_if_nothing_is_left(connection, given)


async def _tell(connection: AsyncConnection, given: Try) -> None:
    await append(
        connection,
        given.booking_id,
        PaymentRefunded(
            booking_id=given.booking_id,
            provider=given.provider,
            attempt=given.attempt,
            amount=given.amount.amount,
            currency=given.amount.currency,
            refund_id=given.refund_id,
        ),
    )


async def _close_if_nothing_is_left(connection: AsyncConnection, given: Try) -> None:
    refunded = (
        select(func.sum(RefundRow.amount))
        .where(RefundRow.booking_id == given.booking_id, RefundRow.attempt == given.attempt)
        .where(RefundRow.state == TryState.SUCCEEDED)
    )
    await connection.execute(
        update(AttemptRow)
        .where(AttemptRow.booking_id == given.booking_id, AttemptRow.number == given.attempt)
        .where(AttemptRow.amount == refunded.scalar_subquery(), AttemptRow.closed_at.is_(None))
        .values(state=AttemptState.REFUNDED, closed_at=func.now())
    )
