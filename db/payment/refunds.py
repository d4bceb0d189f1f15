"""Tries of refunds as rows. A try may begin only after the previous one has failed for certain.

A booking may have several intents, after exchanges for more expensive seats. Then a refund has a part at each intent
that it uses, and each part has its own tries; `number` counts the tries of all parts.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, ScalarSelect, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.payment import attempts
from db.payment.attempts import AttemptState
from db.payment.tables import AttemptRow, LedgerTransactionRow, RefundRow
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

BY_PROVIDER = "by_provider"
"""The code of a refund that the provider made without our request."""

_NOT_OURS = (BY_HAND, BY_PROVIDER)

GIVEN_OTHERWISE = "given_otherwise"
"""The code of a try that has failed and has no successor, because its money has gone back without one."""

SETTLED = frozenset({TryState.SUCCEEDED, TryState.FAILED})


class Try(NamedTuple):
    """One try of a refund, or of its part at one intent.

    Attributes:
        is_new: No request with its key can exist yet.
        is_earlier: Opened before the provider took the money of its part back, it does not count as a try of that.
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
    is_earlier: bool = False

    @property
    def is_owed(self) -> bool:
        """It has failed, and its money has not gone back otherwise."""
        return self.state is TryState.FAILED and self.code != GIVEN_OTHERWISE

    @property
    def key(self) -> str:
        """The idempotency key: the same for every retry, and a new one after it proved to be spent."""
        number = f":{self.number}" if self.number > 1 else ""
        minted = f":minted-{self.keys_minted}" if self.keys_minted else ""
        return f"{self.booking_id}:refund:{self.refund_id}{number}{minted}"


async def open_tries(
    connection: AsyncConnection,
    refund_id: UUID,
    booking_id: UUID,
    number: int,
    amount: int,
    lacking: int = 0,
    payments: Collection[UUID | None] | None = None,
    covered: Mapping[int, int] | None = None,
) -> list[Try]:
    """The latest try of each part; a new one if there is none yet or it has failed.

    Args:
        connection: In a transaction of the payment service's database.
        refund_id: The refund whose parts are tried.
        booking_id: The booking that paid the money.
        number: The limit of tries of a part since its money was last taken back, with the new ones.
        amount: Minor units to refund in all; used only for the first tries, as `payments`.
        lacking: Minor units that may be missing, because the provider has given them back without our request.
        payments: From which payments of the booking: those of these exchanges, and with None its own. None as a whole:
            from all.
        covered: Minor units of failed parts that need no further try, by attempt, as an operator says: then any amount
            may be missing. Only a person knows for which of a booking's refunds money was given in the dashboard.

    Returns:
        An empty list if the booking does not have enough money left. A part of which nothing is left is left out.
    """
    await _lock_all(connection, booking_id)
    known = await _tries(connection, refund_id)
    if not known:
        parts = await _first(connection, booking_id, amount, lacking, payments)
    else:
        parts = await _again(connection, known, number, covered or {}, lacking if covered is None else sys.maxsize)
    if parts is None:
        return []
    opened = [
        {"refund_id": refund_id, "attempt": attempt, "number": following, "booking_id": booking_id, "amount": part}
        for following, (attempt, part) in enumerate(parts.items(), start=len(known) + 1)
        if part
    ]
    new: set[int] = set()
    if opened:
        once = insert(RefundRow).values(opened).on_conflict_do_nothing().returning(RefundRow.number)
        new = set((await connection.execute(once)).scalars())
    latest = _latest(await _tries(connection, refund_id))
    parts |= {each.attempt: 0 for each in latest if each.code == GIVEN_OTHERWISE}
    return [each._replace(is_new=each.number in new) for each in latest if parts.get(each.attempt) != 0]


async def _again(
    connection: AsyncConnection, known: Sequence[Try], number: int, covered: Mapping[int, int], lacking: int
) -> dict[int, int] | None:
    """What the parts that have failed try again, by attempt; 0 where nothing is left. None: more than that is lacking.

    What covers a part is counted from the try before it, so it is less of that one.
    """
    left = await _left(connection, known[0].booking_id)
    failed = [each for each in _latest(known) if _may_follow(each, known, number)]
    owed = {each.attempt: _owed(each, known, covered) for each in failed}
    parts = {attempt: min(amount, left.get(attempt, 0)) for attempt, amount in owed.items()}
    return None if sum(owed.values()) - sum(parts.values()) > lacking else parts


def _owed(last: Try, known: Sequence[Try], covered: Mapping[int, int]) -> int:
    if last.attempt not in covered:
        return last.amount.amount
    own = [each for each in known if each.attempt == last.attempt]
    since = [each for each in own if each.is_earlier][-1:] or own
    return max(since[0].amount.amount - covered[last.attempt], 0)


def _latest(tries: Sequence[Try]) -> list[Try]:
    return list({each.attempt: each for each in tries}.values())


def _may_follow(last: Try, tries: Sequence[Try], number: int) -> bool:
    return last.is_owed and sum(each.attempt == last.attempt and not each.is_earlier for each in tries) < number


async def opens_tries(connection: AsyncConnection, refund_id: UUID, number: int) -> bool:
    """Whether `open_tries` would open a new try."""
    known = await _tries(connection, refund_id)
    return not known or any(_may_follow(each, known, number) for each in _latest(known))


async def _first(
    connection: AsyncConnection,
    booking_id: UUID,
    amount: int,
    lacking: int,
    payments: Collection[UUID | None] | None,
) -> dict[int, int] | None:
    """The share of each of the booking's intents, by the attempt's number; the oldest is used up first.

    None: it has too little.
    """
    parts = {}
    for attempt, left in (await _left(connection, booking_id, payments)).items():
        part = min(amount, left)
        if part > 0:
            parts[attempt] = part
            amount -= part
    return None if amount > lacking else parts


async def _left(
    connection: AsyncConnection, booking_id: UUID, payments: Collection[UUID | None] | None = None
) -> dict[int, int]:
    """What is left of each captured attempt of a booking, by number, oldest first."""
    spent = await _given_or_on_its_way(connection, booking_id)
    return {
        each.number: each.amount.amount - spent.get(each.number, 0)
        for each in await attempts.captured(connection, booking_id)
        if payments is None or each.exchange_id in payments
    }


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
    is_earlier = (RefundRow.opened_at < _taken_back_at(refund_id)).label("is_earlier")
    found = await connection.execute(
        select(RefundRow, AttemptRow.provider, AttemptRow.intent_id, AttemptRow.currency, is_earlier)
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
        is_earlier=bool(row.is_earlier),
    )


async def note_by_hand(
    connection: AsyncConnection,
    refund_id: UUID,
    booking_id: UUID,
    amount: int,
    lacking: int = 0,
    payments: Collection[UUID | None] | None = None,
    accepted_at: datetime | None = None,
) -> int:
    """Post what the tries of a refund have not paid, because an operator confirms all of it; repeated, no change.

    A pending try counts as paid: the operator is responsible for that. What the provider has given back without our
    request since the first try, or since `accepted_at` if there was none, is what the operator speaks of: it is posted
    already, and only the rest is posted by hand. If the provider has taken the money back, it counts from then on:
    what was given while the refund had succeeded was given for another reason.

    Returns:
        Minor units of all the refund's tries together.
    """
    await _lock_all(connection, booking_id)
    first_try = select(func.min(RefundRow.opened_at)).where(RefundRow.refund_id == refund_id).scalar_subquery()
    since = func.coalesce(_taken_back_at(refund_id), first_try, accepted_at)
    covered = await _by_provider_since(connection, booking_id, since)
    first = amount - sum(covered[each] for each in covered.keys() & await _left(connection, booking_id, payments))
    tries = await open_tries(connection, refund_id, booking_id, sys.maxsize, first, lacking, payments, covered)
    for given in tries:
        await note(connection, given, TryState.SUCCEEDED, BY_HAND)
    await owe_no_more(connection, refund_id, tries)
    return sum(given.amount.amount for given in tries)


async def owe_no_more(connection: AsyncConnection, refund_id: UUID, tries: Sequence[Try]) -> None:
    """End the parts that have failed and are not among these tries: nothing was left of them to give back.

    Otherwise the refund would seem owed for ever, and the next look at it would open them again.
    """
    parts = {given.attempt for given in tries}
    latest = _latest(await _tries(connection, refund_id))
    if ended := [each.number for each in latest if each.is_owed and each.attempt not in parts]:
        same = (RefundRow.refund_id == refund_id, RefundRow.number.in_(ended))
        await connection.execute(update(RefundRow).where(*same).values(code=GIVEN_OTHERWISE))


async def _by_provider_since(
    connection: AsyncConnection, booking_id: UUID, since: ColumnElement[datetime]
) -> dict[int, int]:
    """Minor units by attempt; nothing where `since` is null."""
    rows = await connection.execute(
        select(RefundRow.attempt, func.sum(RefundRow.amount).label("amount"))
        .where(RefundRow.booking_id == booking_id, RefundRow.code == BY_PROVIDER)
        .where(RefundRow.state == TryState.SUCCEEDED, RefundRow.opened_at > since)
        .group_by(RefundRow.attempt)
    )
    return {row.attempt: int(row.amount) for row in rows}


def _taken_back_at(refund_id: UUID) -> ScalarSelect[datetime]:
    """When the provider took a try at the attempt of the enclosing query back, as the ledger has it."""
    booked = LedgerTransactionRow
    return (
        select(func.max(booked.booked_at))
        .where(booked.booking_id == RefundRow.booking_id, booked.attempt == RefundRow.attempt)
        .where(booked.kind == "refund_failed", booked.reference.startswith(f"{refund_id}:"))
        .correlate(RefundRow)
        .scalar_subquery()
    )


async def succeeded(connection: AsyncConnection, refund_id: UUID) -> list[Try]:
    """What the provider has confirmed of a refund."""
    tries = await _tries(connection, refund_id)
    return [each for each in tries if each.state is TryState.SUCCEEDED and each.code not in _NOT_OURS]


async def is_owed(connection: AsyncConnection, refund_id: UUID) -> bool:
    """Whether a part of a refund has failed and has not gone back since."""
    return any(each.is_owed for each in _latest(await _tries(connection, refund_id)))


async def take_back(connection: AsyncConnection, given: Try, code: str | None) -> None:
    """A try that had succeeded has failed after all: the money is owed again. The event is appended once."""
    await lock_attempt(connection, given.booking_id, given.attempt)
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


async def note(connection: AsyncConnection, given: Try, state: TryState, code: str | None = None) -> None:
    """Store the provider's answer to a try; if the money is paid, append the event, once."""
    await lock_attempt(connection, given.booking_id, given.attempt)
    changed = await connection.execute(
        update(RefundRow)
        .where(RefundRow.refund_id == given.refund_id, RefundRow.number == given.number)
        .where(RefundRow.state.not_in(SETTLED))
        .values(state=state, code=code, settled_at=func.now() if state in SETTLED else None)
    )
    if changed.rowcount and state is TryState.SUCCEEDED:
        await append(connection, given.booking_id, PaymentRefunded(**_facts(given)))
        await _close_if_nothing_is_left(connection, given)


async def _lock_all(connection: AsyncConnection, booking_id: UUID) -> None:
    """As `lock_attempt`, for all attempts of a booking."""
    own = select(AttemptRow.number).where(AttemptRow.booking_id == booking_id)
    await connection.execute(own.order_by(AttemptRow.number).with_for_update())


async def lock_attempt(connection: AsyncConnection, booking_id: UUID, number: int) -> None:
    """Serializes the refunds of one attempt, so that sums and event sequences are correct."""
    same = (AttemptRow.booking_id == booking_id, AttemptRow.number == number)
    await connection.execute(select(AttemptRow.number).where(*same).with_for_update())


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
