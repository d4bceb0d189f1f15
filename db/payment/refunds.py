"""Tries of refunds as rows. A try may begin only after the previous one has failed for certain.

A booking may have several intents, after exchanges for more expensive seats. Then a refund has a part at each intent
that it uses, and each part has its own tries; `number` counts the tries of all parts.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
from domain.domain_events import PaymentRefunded, PaymentRefundFailed
from domain.money import Money


class TryState(StrEnum):
    """The state of a try. Only `failed` allows another try for the same money."""

    OPEN = "open"  # the request to the provider is sent, or will be
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


BY_HAND = "by_hand"
"""The code of a try without a request to the provider: an operator has confirmed another way of payment."""

SETTLED = frozenset({TryState.SUCCEEDED, TryState.FAILED})


class Try(NamedTuple):
    """One try of a refund, or of its part at one intent.

    Attributes:
        is_new: No request with its key can exist yet.
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
    is_new: bool = False

    @property
    def key(self) -> str:
        """The idempotency key: the same for every retry, and a new one after it proved to be spent."""
        number = f":{self.number}" if self.number > 1 else ""
        minted = f":minted-{self.keys_minted}" if self.keys_minted else ""
        return f"{self.booking_id}:refund:{self.refund_id}{number}{minted}"


async def open_tries(
    connection: AsyncConnection, refund_id: UUID, booking_id: UUID, number: int, amount: int
) -> list[Try]:
    """The latest try of each part; a new one if there is none yet or it has failed.

    Args:
        connection: In a transaction of the payment service's database.
        refund_id: The refund whose parts are tried.
        booking_id: The booking that paid the money.
        number: The limit of tries of a part, with the new ones.
        amount: Minor units to refund in all; used only for the first tries.

    Returns:
        An empty list if the booking does not have enough money left.
    """
    known = await _tries(connection, refund_id)
    if known:
        parts = {each.attempt: each.amount.amount for each in _latest(known) if _may_follow(each, known, number)}
    else:
        parts = await _shared_out(connection, booking_id, amount)
    opened = [
        {"refund_id": refund_id, "attempt": attempt, "number": following, "booking_id": booking_id, "amount": part}
        for following, (attempt, part) in enumerate(parts.items(), start=len(known) + 1)
    ]
    if not opened:
        return _latest(known)
    once = insert(RefundRow).values(opened).on_conflict_do_nothing().returning(RefundRow.number)
    new = set((await connection.execute(once)).scalars())
    return [each._replace(is_new=each.number in new) for each in _latest(await _tries(connection, refund_id))]


def _latest(tries: Sequence[Try]) -> list[Try]:
    return list({each.attempt: each for each in tries}.values())


def _may_follow(last: Try, tries: Sequence[Try], number: int) -> bool:
    return last.state is TryState.FAILED and sum(each.attempt == last.attempt for each in tries) < number


async def _shared_out(connection: AsyncConnection, booking_id: UUID, amount: int) -> dict[int, int]:
    """The share of each of the booking's intents, by the attempt's number; the oldest is used up first."""
    spent = await _given_or_on_its_way(connection, booking_id)
    parts = {}
    for attempt in await attempts.captured(connection, booking_id):
        part = min(amount, attempt.amount.amount - spent.get(attempt.number, 0))
        if part > 0:
            parts[attempt.number] = part
            amount -= part
    return {} if amount else parts


async def _given_or_on_its_way(connection: AsyncConnection, booking_id: UUID) -> dict[int, int]:
    rows = await connection.execute(
        select(RefundRow.attempt, func.sum(RefundRow.amount).label("amount"))
        .where(RefundRow.booking_id == booking_id, RefundRow.state != TryState.FAILED)
        .group_by(RefundRow.attempt)
    )
    return {row.attempt: int(row.amount) for row in rows}


async def _tries(connection: AsyncConnection, refund_id: UUID) -> list[Try]:
    """All tries of a refund, in order."""
    of_attempt = (AttemptRow.booking_id == RefundRow.booking_id) & (AttemptRow.number == RefundRow.attempt)
    found = await connection.execute(
        select(RefundRow, AttemptRow.provider, AttemptRow.intent_id, AttemptRow.currency)
        .join(AttemptRow, of_attempt)
        .where(RefundRow.refund_id == refund_id)
        .order_by(RefundRow.number)
    )
    return [_try(row) for row in found]


def _try(row: Row[*tuple[Any, ...]]) -> Try:
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
    )


async def note_by_hand(connection: AsyncConnection, refund_id: UUID, booking_id: UUID, amount: int) -> None:
    """Post what the tries of a refund have not paid, because an operator confirms all of it; repeated, no change.

    A pending try counts as paid: the operator is responsible for that.
    """
    for given in await open_tries(connection, refund_id, booking_id, sys.maxsize, amount):
        await note(connection, given, TryState.SUCCEEDED, BY_HAND)


async def succeeded(connection: AsyncConnection, refund_id: UUID) -> list[Try]:
    """What the provider has confirmed of a refund."""
    tries = await _tries(connection, refund_id)
    return [each for each in tries if each.state is TryState.SUCCEEDED and each.code != BY_HAND]


async def is_owed(connection: AsyncConnection, refund_id: UUID) -> bool:
    """Whether a part of a refund has failed and was not paid since."""
    return any(each.state is TryState.FAILED for each in _latest(await _tries(connection, refund_id)))


async def take_back(connection: AsyncConnection, given: Try, code: str | None) -> None:
    """A try that had succeeded has failed after all: the money is owed again. The event is appended once."""
    await _lock(connection, given)
    changed = await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.state == TryState.SUCCEEDED)
        .values(state=TryState.FAILED, code=code)
    )
    if changed.rowcount:
        await connection.execute(
            update(AttemptRow)
            .where(AttemptRow.booking_id == given.booking_id, AttemptRow.number == given.attempt)
            .where(AttemptRow.state == AttemptState.REFUNDED)
            .values(state=AttemptState.CAPTURED, closed_at=None)
        )
        await append(connection, given.booking_id, PaymentRefundFailed(**_facts(given)))


async def mint_key(connection: AsyncConnection, given: Try) -> None:
    """Let the next call use a new key, because the provider's saved answer to this one is a failure."""
    await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.keys_minted == given.keys_minted)
        .values(keys_minted=given.keys_minted + 1)
    )


async def note(connection: AsyncConnection, given: Try, state: TryState, code: str | None = None) -> None:
    """Store the provider's answer to a try; if the money is paid, append the event, once."""
    await _lock(connection, given)
    changed = await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.state.not_in(SETTLED))
        .values(state=state, code=code, settled_at=func.now() if state in SETTLED else None)
    )
    if changed.rowcount and state is TryState.SUCCEEDED:
        await append(connection, given.booking_id, PaymentRefunded(**_facts(given)))
        await _close_if_nothing_is_left(connection, given)


async def _lock(connection: AsyncConnection, given: Try) -> None:
    """Serializes the refunds of one booking, so that sums and event sequences are correct."""
    await connection.execute(
        select(AttemptRow.number)
        .where(AttemptRow.booking_id == given.booking_id, AttemptRow.number == given.attempt)
        .with_for_update()
    )


def _facts(given: Try) -> dict[str, Any]:
    return {
        "booking_id": given.booking_id,
        "provider": given.provider,
        "attempt": given.attempt,
        "amount": given.amount.amount,
        "currency": given.amount.currency,
        "refund_id": given.refund_id,
    }


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
