"""Exchanges in Postgres: the new seat claimed first, then both tickets and both seats changed in one transaction.

An exchange that is under way keeps everybody else from changing its booking: each of them locks the booking's row and
then looks for the other. Each step names the state that it starts from, so that a repetition finds itself done.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.outbox import append
from db.reservation import offers
from db.reservation.bookings import bookings
from db.reservation.bookings.bookings import StaleStep, identity
from db.reservation.exchanges.plans import plan
from db.reservation.refunds import refunds
from db.reservation.tables import BookingRow, EventRow, ExchangeRow, SeatRow, TicketRow
from domain.bookings import Booking, Ticket
from domain.domain_events import TicketExchanged
from domain.exchanges import LIVE, Exchange, ExchangeRequest, ExchangeState, exchanged
from domain.problems import Problem, Refused
from domain.seats import SeatName

_S = ExchangeState


async def begin(connection: AsyncConnection, request: ExchangeRequest) -> Exchange:
    """Claim the new seat for the booking, which keeps the old one; repeated, the exchange as it stands.

    Raises:
        Refused: As for `plan`; or others have the seat, or the request came too late. Then nothing is changed.
    """
    await _lock(connection, request.booking_id)
    known = await find(connection, request.id)
    if known:
        return known
    if await bookings.now(connection) >= request.deadline:
        raise bookings.too_late()
    planned = await plan(connection, request, lock=True)
    await bookings.claim_places(
        connection, planned.booking.model_copy(update={"seats": (request.seat,), "quantities": {}})
    )
    row = await connection.execute(
        insert(ExchangeRow)
        .values(
            **request.model_dump(include={"id", "booking_id", "requested_by", "ticket", "seat", "body_sha256"}),
            old_seat=planned.old_seat,
            difference=planned.difference,
            currency=planned.booking.currency,
        )
        .returning(ExchangeRow)
    )
    return _exchange(row.one())


async def await_buyer(connection: AsyncConnection, exchange_id: UUID, action_url: str | None) -> Exchange:
    """The buyer has to act at the payment provider; repeated, as it stands.

    Raises:
        StaleStep: It has gone on already.
    """
    waits = {"state": _S.ACTION_REQUIRED, "action_url": action_url}
    return await _reach(connection, exchange_id, (_S.PENDING, _S.ACTION_REQUIRED), waits)


async def commit(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    """The money is reserved: make sure, before it is taken, that there is still something to be had for it.

    Raises:
        Refused: The event is not on sale any more; then nothing is changed.
        StaleStep: It has ended.
    """
    exchange = await _known(connection, exchange_id)
    booking = await bookings.find(connection, exchange.booking_id)
    assert booking
    await offers.find_sale(connection, booking.event_id, lock=True)
    committed = {"state": _S.COMMITTED, "action_url": None}
    return await _reach(connection, exchange_id, LIVE, committed)


async def swap(connection: AsyncConnection, exchange_id: UUID) -> Exchange:
    """The one step that lets the old seat go: both tickets, both seats and what is owed now, in one transaction.

    Where nothing was paid for it, and so nobody has asked since it was begun, an event that is not on sale any more
    ends the exchange instead: the ticket stays as it was.

    Raises:
        StaleStep: It has ended otherwise, or its difference is not taken.
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
    refund_id = uuid5(exchange.id, "refund") if exchange.difference < 0 else None
    if refund_id:
        requested_by = await _requested_by(connection, exchange_id)
        await refunds.owe_difference(connection, booking, refund_id, requested_by, -exchange.difference)
    completed = {"state": _S.COMPLETED, "new_ticket": new.id, "refund_id": refund_id, "settled_at": func.now()}
    return await _reach(connection, exchange_id, LIVE, completed)


async def _why_not_on_sale(connection: AsyncConnection, booking_id: UUID) -> Problem | None:
    """None where the event is on sale; it cannot be called off then before this transaction ends."""
    event_id = await connection.scalar(select(BookingRow.event_id).where(BookingRow.id == booking_id))
    assert event_id
    try:
        await offers.find_sale(connection, event_id, lock=True)
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
    """Locked by name, as by everybody."""
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
    """The booking with the new seat in the place of the old one, and what it owes; told by a domain event."""
    before = await bookings.find(connection, exchange.booking_id)
    assert before
    charged, returns = max(exchange.difference, 0), max(-exchange.difference, 0)
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
    event = (await connection.execute(select(EventRow).where(EventRow.id == before.event_id))).one()
    told = TicketExchanged(
        **identity(before),
        exchange_id=exchange.id,
        event_name=event.name,
        starts_at=event.starts_at,
        old=Ticket(id=exchange.ticket, section=SeatName.parse(exchange.old_seat).section, seat=exchange.old_seat),
        new=new,
        amount=charged,
        returns=returns,
        currency=exchange.currency,
    )
    await append(connection, before.id, told)
    return before.model_copy(update={"version": changed.scalar_one()})


async def fail(connection: AsyncConnection, exchange_id: UUID, problem: Problem) -> Exchange:
    """Let the new seat go; the ticket stays as it was. Repeated, as it stands.

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
    return over


async def flag(connection: AsyncConnection, exchange_id: UUID, needs_attention: bool) -> None:
    """Show whether an operator has to look at an exchange that goes on."""
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
    """One change at a time for each booking: refunds do the same."""
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
    row = (await connection.execute(select(ExchangeRow).where(ExchangeRow.id == exchange_id))).one_or_none()
    return _exchange(row) if row else None


def _exchange(row: Row[Any]) -> Exchange:
    return Exchange(**{name: getattr(row, name) for name in Exchange.model_fields})
