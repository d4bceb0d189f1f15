"""Payment attempts as rows: which intent and which keys belong to a booking, whatever crashes or is reset.

A booking has one live attempt at most, and so has each exchange of one of its seats.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Uuid, exists, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.payment.tables import AttemptRow
from domain.domain_events import PaymentEvent
from domain.money import Money


class AttemptState(StrEnum):
    OPEN = "open"
    ACTION_REQUIRED = "action_required"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"
    LEFT = "left"  # given up although the provider could not close it yet: money may still turn up


CLOSED = frozenset({AttemptState.DECLINED, AttemptState.VOIDED, AttemptState.REFUNDED, AttemptState.LEFT})

_S = AttemptState
_COMES_FROM: dict[AttemptState, frozenset[AttemptState]] = {
    _S.OPEN: frozenset(),
    _S.ACTION_REQUIRED: frozenset({_S.OPEN}),
    _S.AUTHORIZED: frozenset({_S.OPEN, _S.ACTION_REQUIRED}),
    _S.CAPTURED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),  # some gateways capture at once
    _S.DECLINED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
    _S.VOIDED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
    _S.REFUNDED: frozenset({_S.AUTHORIZED, _S.CAPTURED}),  # the first, where we died before we could note the capture
    _S.LEFT: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
}
"""An attempt goes forward only, so that a worker left behind can neither turn it back nor tell what is not true."""


class Attempt(NamedTuple):
    """One attempt to take a booking's money; `intent_id` is None until the provider has told it.

    `action_url` is the provider's page where the intent is paid, which some providers tell only once. `exchange_id` is
    the exchange that it pays for; None where it pays for the booking itself.
    """

    booking_id: UUID
    number: int
    provider: str
    amount: Money
    state: AttemptState
    intent_id: str | None
    decline_code: str | None
    keys_minted: int
    captures_asked: int = 0
    action_url: str | None = None
    exchange_id: UUID | None = None

    def key(self, step: str) -> str:
        """The idempotency key of one step: the same for every repetition, another once it has proved to be spent."""
        minted = f":{self.keys_minted}" if self.keys_minted else ""
        exchange = "exchange:" if self.exchange_id else ""
        return f"{self.booking_id}:{exchange}{step}:{self.number}{minted}"

    def facts(self) -> dict[str, Any]:
        """What every domain event of a payment carries."""
        return {
            "booking_id": self.booking_id,
            "provider": self.provider,
            "attempt": self.number,
            "amount": self.amount.amount,
            "currency": self.amount.currency,
        }


def read_attempt(row: Row[Any]) -> Attempt:
    return Attempt(
        row.booking_id,
        row.number,
        row.provider,
        Money(amount=row.amount, currency=row.currency),
        AttemptState(row.state),
        row.intent_id,
        row.decline_code,
        row.keys_minted,
        row.captures_asked,
        row.action_url,
        row.exchange_id,
    )


async def live(connection: AsyncConnection, booking_id: UUID, exchange_id: UUID | None = None) -> Attempt | None:
    """The attempt of the booking, or of the exchange, that is not closed, if there is one."""
    row = (await connection.execute(select(AttemptRow).where(*_is_live(booking_id, exchange_id)))).one_or_none()
    return read_attempt(row) if row else None


def _is_live(booking_id: UUID, exchange_id: UUID | None) -> tuple[ColumnElement[bool], ...]:
    mine = AttemptRow.exchange_id == exchange_id  # IS NULL where it is None
    return AttemptRow.booking_id == booking_id, AttemptRow.closed_at.is_(None), mine


async def captured(connection: AsyncConnection, booking_id: UUID) -> list[Attempt]:
    """The attempts that have money of the booking's, for itself and for its exchanges, oldest first."""
    rows = await connection.execute(
        select(AttemptRow)
        .where(AttemptRow.booking_id == booking_id, AttemptRow.state == AttemptState.CAPTURED)
        .order_by(AttemptRow.number)
    )
    return [read_attempt(row) for row in rows]


async def open_attempt(
    connection: AsyncConnection,
    booking_id: UUID,
    provider: str,
    amount: Money,
    deadline: datetime,
    exchange_id: UUID | None = None,
) -> Attempt | None:
    """The live attempt, or a new one; None when there is none and the deadline has passed by the database's clock."""
    number = select(func.coalesce(func.max(AttemptRow.number), 0) + 1).where(AttemptRow.booking_id == booking_id)
    values = select(
        literal(booking_id),
        number.scalar_subquery(),
        literal(provider),
        literal(amount.amount),
        literal(amount.currency),
        literal(exchange_id, Uuid()),
    ).where(literal(deadline) > func.now(), ~exists().where(*_is_live(booking_id, exchange_id)))
    columns = ["booking_id", "number", "provider", "amount", "currency", "exchange_id"]
    opening = insert(AttemptRow).from_select(columns, values).on_conflict_do_nothing().returning(AttemptRow)
    row = (await connection.execute(opening)).one_or_none()
    return read_attempt(row) if row else await live(connection, booking_id, exchange_id)


async def in_time(connection: AsyncConnection, deadline: datetime) -> bool:
    """Whether a charge may still be started, by the database's clock."""
    return bool((await connection.execute(select(literal(deadline) > func.now()))).scalar_one())


async def note_intent(
    connection: AsyncConnection, attempt: Attempt, intent_id: str, action_url: str | None = None
) -> Attempt | None:
    """Remember the provider's id before any money moves; None when the attempt has been closed meanwhile."""
    return await _change(connection, attempt, {"intent_id": intent_id, "action_url": action_url})


async def begin_capture(
    connection: AsyncConnection, booking_id: UUID, exchange_id: UUID | None = None
) -> Attempt | None:
    """The live attempt, with this capture counted before it is asked for; None when there is none."""
    counted = await connection.execute(
        update(AttemptRow)
        .where(*_is_live(booking_id, exchange_id))
        .values(captures_asked=AttemptRow.captures_asked + 1)
        .returning(AttemptRow)
    )
    row = counted.one_or_none()
    return read_attempt(row) if row else None


async def note_decline(connection: AsyncConnection, attempt: Attempt, code: str) -> Attempt | None:
    """Remember a decline before its intent is voided, so that a crash in between does not lose the reason."""
    return await _change(connection, attempt, {"decline_code": code})


async def mint_keys(connection: AsyncConnection, attempt: Attempt) -> Attempt | None:
    """Have the next calls use new keys, since the provider's saved answer to the old ones is known to be a failure."""
    return await _change(
        connection, attempt, {"keys_minted": attempt.keys_minted + 1}, AttemptRow.keys_minted == attempt.keys_minted
    )


async def reach(
    connection: AsyncConnection, attempt: Attempt, state: AttemptState, event: PaymentEvent | None
) -> Attempt | None:
    """Bring the attempt to a state and append the domain event that tells it.

    Returns:
        None, and nothing is changed or told, when the attempt is there already or has gone past it.
    """
    values: dict[str, Any] = {"state": state}
    if state in CLOSED:
        values["closed_at"] = func.now()
    if state is AttemptState.LEFT:
        values["watched"] = True
    changed = await _change(connection, attempt, values, AttemptRow.state.in_(_COMES_FROM[state]))
    if changed and event:
        await append(connection, attempt.booking_id, event)
    return changed


async def _change(
    connection: AsyncConnection, attempt: Attempt, values: dict[str, Any], *conditions: ColumnElement[bool]
) -> Attempt | None:
    changed = await connection.execute(
        update(AttemptRow)
        .where(AttemptRow.booking_id == attempt.booking_id, AttemptRow.number == attempt.number)
        .where(AttemptRow.closed_at.is_(None), *conditions)
        .values(values)
        .returning(AttemptRow)
    )
    row = changed.one_or_none()
    return read_attempt(row) if row else None
