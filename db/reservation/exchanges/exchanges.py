"""Exchanges in Postgres: first the new seat is claimed, then tickets and seats change in one transaction.

While an exchange is under way, nothing else changes its booking: refunds and exchanges lock the booking's row and then
check for each other. Each step names the state that it starts from, so that a retry finds that it is done.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.reservation import event_summaries, offers
from db.reservation.bookings import bookings, free_places
from db.reservation.bookings.bookings import StaleStep, identity
from db.reservation.exchanges.plans import plan
from db.reservation.refunds import refunds
from db.reservation.tables import BookingRow, ExchangeRow, SeatRow, TicketRow
from domain.bookings import Booking, Ticket
from domain.domain_events import TicketExchanged, TicketExchangeFailed
from domain.exchanges import LIVE, Exchange, ExchangeRequest, ExchangeState, exchanged
from domain.problems import Problem, Refused
from domain.seats import SeatName

_S = ExchangeState


async def begin(connection: AsyncConnection, request: ExchangeRequest) -> Exchange:
    """Claim the new seat for the booking, which keeps the old one; repeated, no change.

    Raises:
        Refused: As for `plan`; or another booking has the seat, the buyer has too many that cost nothing, or the
            request came too late. Then nothing is changed.
    """
    await _lock(connection, request.booking_id)
    known = await find(connection, request.id)
    if known:
        return known
    if await bookings.now(connection) >= request.deadline:
        raise bookings.too_late()
    planned = await plan(connection, request, lock=True)
    booking, more = planned.booking, int(planned.is_for_free)
    await free_places.check(connection, booking.user_id, booking.event_id, more, most=request.free_places)
    await bookings.claim_places(connection, booking.model_copy(update={"seats": (request.seat,), "quantities": {}}))
    row = await connection.execute(
        insert(ExchangeRow)
        .values(
            **request.model_dump(include={"id", "booking_id", "requested_by", "ticket", "seat", "body_sha256"}),
            old_seat=planned.old_seat,
            difference=planned.difference,
            returns=planned.back.amount,
            fee=planned.back.fee,
            currency=planned.booking.currency,
        )
        .returning(ExchangeRow)
    )
    return _exchange(row.one())


async def await_buyer(connection: AsyncConnection, exchange_id: UUID, action_url: str | None) -> Exchange:
    """Record that the buyer has to act at the payment provider; repeated, no change.

    Raises:
        StaleStep: It is in a later state.
    """
    waits = {"state": _S.ACTION_REQUIRED, "action_url": action_url}
    return await _reach(connection, exchange_id, (_S.PENDING, _S.ACTION_REQUIRED), waits)


async def commit(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    """Check, between authorization and capture, that the exchange can still be completed.

    Raises:
        Refused: The event is cancelled; then nothing is changed.
        StaleStep: It has ended.
    """
    exchange = await _known(connection, exchange_id)
    booking = await bookings.find(connection, exchange.booking_id)
    assert booking
    await offers.lock_begun_sale(connection, booking.event_id)
    committed = {"state": _S.COMMITTED, "action_url": None}
    return await _reach(connection, exchange_id, LIVE, committed)


async def swap(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    """Swap the tickets, the seats and the amount in one transaction; only this step releases the old seat.

    Without a payment there was no earlier check. If the event is cancelled then, the exchange fails instead and the
    ticket stays valid.

    Raises:
        StaleStep: It has failed, or its difference is not captured.
    """
    exchange = await _locked(connection, exchange_id)
    if exchange.state is _S.COMPLETED or (exchange.state is _S.FAILED and exchange.difference <= 0):
        return exchange
    if exchange.state is not (_S.COMMITTED if exchange.difference > 0 else _S.PENDING):
        raise StaleStep(f"exchange {exchange_id} is {exchange.state}")
    if exchange.difference <= 0 and (problem := await _why_not_on_sale(connection, exchange.booking_id)):
        return await fail(connection, exchange_id, problem)
    new = await _reissue(connection, exchange)
    await _change_hands(connection, exchange)
    booking = await _rewrite(connection, exchange, new)
    refund_id = uuid5(exchange.id, "refund") if exchange.returns else None
    if refund_id:
        requested_by = await _requested_by(connection, exchange_id)
        await refunds.owe_difference(connection, booking, refund_id, requested_by, exchange.returns, exchange.fee)
    completed = {"state": _S.COMPLETED, "new_ticket": new.id, "refund_id": refund_id, "settled_at": func.now()}
    return await _reach(connection, exchange_id, LIVE, completed)


async def _why_not_on_sale(connection: AsyncConnection, booking_id: UUID) -> Problem | None:
    """None if the event is not cancelled; then it cannot be cancelled before this transaction ends."""
    event_id = await connection.scalar(select(BookingRow.event_id).where(BookingRow.id == booking_id))
    assert event_id
    try:
        await offers.lock_begun_sale(connection, event_id)
    except Refused as refusal:
        return refusal.problem
    return None


async def _reissue(connection: AsyncConnection, exchange: Exchange) -> Ticket:
    await connection.execute(update(TicketRow).where(TicketRow.id == exchange.ticket).values(status="void"))
    mine = select(TicketRow).where(TicketRow.booking_id == exchange.booking_id)
    last = (await connection.execute(mine.order_by(TicketRow.ordinal.desc()).limit(1))).one()
    section = SeatName.parse(exchange.seat).section
    made = await connection.execute(
        insert(TicketRow)
        .values(
            booking_id=exchange.booking_id,
            event_id=last.event_id,
            section=section,
            seat=exchange.seat,
            ordinal=last.ordinal + 1,
        )
        .returning(TicketRow.id)
    )
    return Ticket(id=made.scalar_one(), section=section, seat=exchange.seat)


async def _change_hands(connection: AsyncConnection, exchange: Exchange) -> None:
    """Locked by name, as everywhere."""
    names = (exchange.old_seat, exchange.seat)
    own = (SeatRow.booking_id == exchange.booking_id, SeatRow.name.in_(names))
    locked = await connection.execute(select(SeatRow.name).where(*own).order_by(SeatRow.name).with_for_update())
    if len(locked.all()) != len(names):
        raise StaleStep(f"exchange {exchange.id} has lost a seat")
    grows = {"version": SeatRow.version + 1}
    sold = update(SeatRow).where(*own, SeatRow.name == exchange.seat).values(status="sold", **grows)
    await connection.execute(sold)
    free = {"status": "available", "booking_id": None}
    await connection.execute(update(SeatRow).where(*own, SeatRow.name == exchange.old_seat).values(**free, **grows))


async def _rewrite(connection: AsyncConnection, exchange: Exchange, new: Ticket) -> Booking:
    """Replace the booking's seat and change its amount; append the domain event."""
    before = await bookings.find(connection, exchange.booking_id)
    assert before
    charged = max(exchange.difference, 0)
    changed = await connection.execute(
        update(BookingRow)
        .where(BookingRow.id == before.id)
        .values(
            seats=list(exchanged(before.seats, exchange.old_seat, exchange.seat)),
            amount=BookingRow.amount + charged,
            version=BookingRow.version + 1,
            updated_at=func.now(),
        )
        .returning(BookingRow.version)
    )
    event = await event_summaries.summary_of(connection, before.event_id)
    told = TicketExchanged(
        **identity(before),
        exchange_id=exchange.id,
        event_name=event.name,
        starts_at=event.starts_at,
        event=event,
        old=Ticket(id=exchange.ticket, section=SeatName.parse(exchange.old_seat).section, seat=exchange.old_seat),
        new=new,
        amount=charged,
        returns=exchange.returns,
        fee=exchange.fee,
        currency=exchange.currency,
    )
    await append(connection, before.id, told)
    return before.model_copy(update={"version": changed.scalar_one()})


async def fail(connection: AsyncConnection, exchange_id: UUID, problem: Problem) -> Exchange:
    """Release the new seat; the ticket stays valid. Repeated, no change.

    Raises:
        StaleStep: It is completed.
    """
    exchange = await _locked(connection, exchange_id)
    if exchange.state is _S.FAILED:
        return exchange
    failed = {"state": _S.FAILED, "problem": problem.model_dump(mode="json"), "settled_at": func.now()}
    over = await _reach(connection, exchange_id, LIVE, failed)
    await connection.execute(
        update(SeatRow)
        .where(SeatRow.booking_id == exchange.booking_id, SeatRow.name == exchange.seat, SeatRow.status == "claimed")
        .values(status="available", booking_id=None, version=SeatRow.version + 1)
    )
    if exchange.state in _AT_THE_PROVIDER:
        await _record_failure(connection, exchange, problem)
    return over


_AT_THE_PROVIDER = (_S.ACTION_REQUIRED, _S.COMMITTED)


async def _record_failure(connection: AsyncConnection, exchange: Exchange, problem: Problem) -> None:
    """Append the domain event for a buyer whose request was answered before the exchange failed."""
    before = await bookings.find(connection, exchange.booking_id)
    assert before
    await connection.execute(
        update(BookingRow)
        .where(BookingRow.id == before.id)
        .values(version=BookingRow.version + 1, updated_at=func.now())
    )
    section = SeatName.parse(exchange.old_seat).section
    failed = TicketExchangeFailed(
        **identity(before),
        exchange_id=exchange.id,
        reason=problem.type,
        ticket=Ticket(id=exchange.ticket, section=section, seat=exchange.old_seat),
        seat=exchange.seat,
        event=await event_summaries.summary_of(connection, before.event_id),
    )
    await append(connection, before.id, failed)


async def flag(connection: AsyncConnection, exchange_id: UUID, needs_attention: bool) -> None:
    """Mark whether an exchange waits for an operator."""
    live = (ExchangeRow.id == exchange_id, ExchangeRow.state.in_(LIVE))
    await connection.execute(update(ExchangeRow).where(*live).values(needs_attention=needs_attention))


async def _reach(
    connection: AsyncConnection, exchange_id: UUID, legal: Collection[ExchangeState], values: dict[str, Any]
) -> Exchange:
    """Bring the exchange to a state from one of the legal ones.

    Raises:
        StaleStep: It is in none of them.
    """
    over = {} if values["state"] in LIVE else {"needs_attention": False, "action_url": None}
    changed = await connection.execute(
        update(ExchangeRow)
        .where(ExchangeRow.id == exchange_id, ExchangeRow.state.in_(legal))
        .values(**over, **values)
        .returning(ExchangeRow)
    )
    row = changed.one_or_none()
    if row is None:
        raise StaleStep(f"exchange {exchange_id} is too late to become {values['state']}")
    return _exchange(row)


async def _lock(connection: AsyncConnection, booking_id: UUID) -> None:
    """Allow one change at a time for each booking, as refunds do."""
    await connection.execute(select(BookingRow.id).where(BookingRow.id == booking_id).with_for_update())


async def _locked(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    """The exchange, with its booking locked."""
    await _lock(connection, (await _known(connection, exchange_id)).booking_id)
    return await _known(connection, exchange_id)


async def _known(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    exchange = await find(connection, exchange_id)
    if exchange is None:
        raise ValueError(f"there is no exchange {exchange_id}")
    return exchange


async def _requested_by(connection: AsyncConnection, exchange_id: UUID) -> UUID:
    return (
        await connection.execute(select(ExchangeRow.requested_by).where(ExchangeRow.id == exchange_id))
    ).scalar_one()


async def find(connection: AsyncConnection, exchange_id: UUID) -> Exchange | None:
    """The exchange in its current state; None if it was never begun."""
    row = (await connection.execute(select(ExchangeRow).where(ExchangeRow.id == exchange_id))).one_or_none()
    return _exchange(row) if row else None


async def seat_in_exchange(connection: AsyncConnection, booking_id: UUID) -> str | None:
    """The seat that the booking has claimed for an exchange under way; None if there is none."""
    live = (ExchangeRow.booking_id == booking_id, ExchangeRow.state.in_(LIVE))
    return (await connection.execute(select(ExchangeRow.seat).where(*live))).scalar_one_or_none()


def _exchange(row: Row[Any]) -> Exchange:
    return Exchange(**{name: getattr(row, name) for name in Exchange.model_fields})
