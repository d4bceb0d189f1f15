"""Payment attempts as rows: they keep a booking's intent and idempotency keys through every crash and reset.

A booking has one live attempt at most, and so has each exchange of one of its seats.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Uuid, and_, bindparam, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from db.outbox import append
from db.payment.tables import AttemptRow
from domain.domain_events import PaymentEvent
from domain.money import Money


class AttemptState(StrEnum):
    """The state of a payment attempt. One that was `left` is given up, although money may still arrive."""

    OPEN = "open"
    ACTION_REQUIRED = "action_required"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    DECLINED = "declined"
    VOIDED = "voided"
    REFUNDED = "refunded"
    LEFT = "left"


CLOSED = frozenset({AttemptState.DECLINED, AttemptState.VOIDED, AttemptState.REFUNDED, AttemptState.LEFT})
"""In these its money is settled, except for an attempt that was `left`."""

_S = AttemptState
_COMES_FROM: dict[AttemptState, frozenset[AttemptState]] = {
    _S.OPEN: frozenset(),
    _S.ACTION_REQUIRED: frozenset({_S.OPEN}),
    _S.AUTHORIZED: frozenset({_S.OPEN, _S.ACTION_REQUIRED}),
    _S.CAPTURED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),  # some gateways capture at once
    _S.DECLINED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
    _S.VOIDED: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
    _S.REFUNDED: frozenset({_S.AUTHORIZED, _S.CAPTURED}),  # the first, if the capture was not recorded
    _S.LEFT: frozenset({_S.OPEN, _S.ACTION_REQUIRED, _S.AUTHORIZED}),
}
"""An attempt only moves forward, so that an old worker can neither move it back nor publish a wrong event."""


class Attempt(NamedTuple):
    """One attempt to charge for a booking; `intent_id` is None until the provider has named it.

    `action_url` is the provider's page where the intent is paid; some providers report it only once. `exchange_id` is
    the exchange that it pays; None if it pays the booking itself.
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
        """The idempotency key of one step: the same for every retry, and a new one after it proved to be spent."""
        minted = f":{self.keys_minted}" if self.keys_minted else ""
        exchange = "exchange:" if self.exchange_id else ""
        return f"{self.booking_id}:{exchange}{step}:{self.number}{minted}"

    def facts(self) -> dict[str, Any]:
        """The fields that every domain event of a payment has."""
        return {
            "booking_id": self.booking_id,
            "provider": self.provider,
            "attempt": self.number,
            "amount": self.amount.amount,
            "currency": self.amount.currency,
        }


COLUMNS: Final = (
    "booking_id, number, provider, amount, currency, state, intent_id, decline_code, keys_minted, captures_asked, "
    "action_url, exchange_id"
)
"""What `read_attempt` reads."""


def read_attempt(row: Row[Any]) -> Attempt:
    """The attempt that a row with these `COLUMNS` holds."""
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


# Built once: building a statement costs more than sending it.
_IS_OPEN = (AttemptRow.booking_id == bindparam("of_booking"), AttemptRow.closed_at.is_(None))
_IS_OF = AttemptRow.exchange_id.is_not_distinct_from(bindparam("of_exchange", type_=Uuid()))
_LIVE = select(AttemptRow).where(*_IS_OPEN, _IS_OF)
_LIVE_OR_DECLINED = select(AttemptRow).where(
    AttemptRow.booking_id == bindparam("of_booking"),
    _IS_OF,
    or_(
        AttemptRow.closed_at.is_(None),
        and_(AttemptRow.state == AttemptState.DECLINED, AttemptRow.deadline == bindparam("at")),
    ),
)
_OPEN = text(
    f"""
    INSERT INTO attempts (booking_id, number, provider, amount, currency, deadline, exchange_id)
    SELECT :booking_id, coalesce(max(number), 0) + 1, :provider, :amount, :currency, CAST(:deadline AS timestamptz),
           CAST(:exchange_id AS uuid)
    FROM attempts WHERE booking_id = :booking_id
    HAVING :deadline > now()
       AND count(*) FILTER (
           WHERE exchange_id IS NOT DISTINCT FROM CAST(:exchange_id AS uuid)
             AND (closed_at IS NULL OR (state = 'declined' AND deadline = :deadline))
       ) = 0
    ON CONFLICT DO NOTHING RETURNING {COLUMNS}
    """
)
_BEGIN_CAPTURE = (
    update(AttemptRow)
    .where(*_IS_OPEN, _IS_OF)
    .values(captures_asked=AttemptRow.captures_asked + 1)
    .returning(AttemptRow)
)


async def live(connection: AsyncConnection, booking_id: UUID, exchange_id: UUID | None = None) -> Attempt | None:
    """The attempt of the booking, or of the exchange, that is not closed, if there is one."""
    found = await connection.execute(_LIVE, {"of_booking": booking_id, "of_exchange": exchange_id})
    row = found.one_or_none()
    return read_attempt(row) if row else None


async def captured(connection: AsyncConnection, booking_id: UUID) -> list[Attempt]:
    """The captured attempts of a booking and of its exchanges, oldest first."""
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
    """The live attempt, or a new one; None when there is none and the deadline has passed by the database's clock.

    A command whose attempt was declined gets that attempt again: its worker died before it could answer.
    """
    values = {"booking_id": booking_id, "provider": provider, "deadline": deadline, "exchange_id": exchange_id}
    row = (await connection.execute(_OPEN, values | amount.model_dump())).one_or_none()
    if row is None:
        order = {"of_booking": booking_id, "of_exchange": exchange_id, "at": deadline}
        row = (await connection.execute(_LIVE_OR_DECLINED, order)).one_or_none()
    return read_attempt(row) if row else None


async def seconds_left(connection: AsyncConnection, deadline: datetime) -> float:
    """How long a charge may still be started, by the database's clock; 0 or less where it may not."""
    return float((await connection.execute(_SECONDS_LEFT, {"deadline": deadline})).scalar_one())


_SECONDS_LEFT = text("SELECT extract(epoch FROM CAST(:deadline AS timestamptz) - now())")


async def note_intent(
    connection: AsyncConnection, attempt: Attempt, intent_id: str, action_url: str | None = None
) -> Attempt | None:
    """Store the provider's id before any money moves; None if the attempt is closed, or has another id by now.

    A worker that was left behind must not replace the id: the buyer may be on the page of the one that is stored.
    """
    return await _change(connection, attempt, _NOTE_INTENT, noted_intent=intent_id, noted_url=action_url)


async def begin_capture(
    connection: AsyncConnection, booking_id: UUID, exchange_id: UUID | None = None
) -> Attempt | None:
    """The live attempt, with this capture counted before the call; None if there is none."""
    counted = await connection.execute(_BEGIN_CAPTURE, {"of_booking": booking_id, "of_exchange": exchange_id})
    row = counted.one_or_none()
    return read_attempt(row) if row else None


async def note_decline(connection: AsyncConnection, attempt: Attempt, code: str) -> Attempt | None:
    """Store a decline before its intent is voided, so that a crash in between does not lose the reason."""
    return await _change(connection, attempt, _changing({"decline_code": code}))


async def mint_keys(connection: AsyncConnection, attempt: Attempt) -> Attempt | None:
    """Let the next calls use new keys, because the provider's saved answer to the old ones is a failure."""
    minted = {"keys_minted": attempt.keys_minted + 1}
    return await _change(connection, attempt, _changing(minted, AttemptRow.keys_minted == attempt.keys_minted))


async def reach(
    connection: AsyncConnection,
    attempt: Attempt,
    state: AttemptState,
    event: PaymentEvent | None,
    *,
    is_unopened: bool = False,
) -> Attempt | None:
    """Bring the attempt to a state and append its domain event.

    Args:
        connection: In a transaction of the payment service's database.
        attempt: Which attempt.
        state: Where to.
        event: What happened.
        is_unopened: Only while it has no intent: another worker may have sent the buyer to the page of one.

    Returns:
        None, without any change, if the attempt has reached that state or a later one already.
    """
    changed = await _change(connection, attempt, _reaching(state, is_unopened=is_unopened))
    if changed and event:
        await append(connection, attempt.booking_id, event)
    return changed


@cache
def _reaching(state: AttemptState, *, is_unopened: bool) -> ReturningUpdate[Any]:
    values: dict[str, Any] = {"state": state}
    if state in CLOSED:
        values["closed_at"] = func.now()
    if state is AttemptState.LEFT:
        values["watched"] = True
    unopened = [AttemptRow.intent_id.is_(None)] if is_unopened else []
    return _changing(values, AttemptRow.state.in_(_COMES_FROM[state]), *unopened)


def _changing(values: dict[str, Any], *conditions: ColumnElement[bool]) -> ReturningUpdate[Any]:
    same = AttemptRow.number == bindparam("of_number")
    return update(AttemptRow).where(*_IS_OPEN, same, *conditions).values(values).returning(AttemptRow)


_NOTE_INTENT = _changing(
    {"intent_id": bindparam("noted_intent"), "action_url": bindparam("noted_url")},
    or_(AttemptRow.intent_id.is_(None), AttemptRow.intent_id == bindparam("noted_intent")),
)


async def _change(
    connection: AsyncConnection, attempt: Attempt, change: ReturningUpdate[Any], **values: Any
) -> Attempt | None:
    same = {"of_booking": attempt.booking_id, "of_number": attempt.number}
    row = (await connection.execute(change, same | values)).one_or_none()
    return read_attempt(row) if row else None
