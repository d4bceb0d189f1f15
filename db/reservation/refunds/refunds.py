"""Refunds in Postgres: tickets become void and places go back on sale in one transaction with the domain event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation import event_summaries
from db.reservation.bookings import bookings
from db.reservation.bookings.bookings import identity
from db.reservation.exchanges.history import kept_for
from db.reservation.policies import find_policies
from db.reservation.tables import (
    BookingRow,
    DomainEventRow,
    ExchangeRow,
    GeneralClaimRow,
    RefundRow,
    SeatRow,
    SectionRow,
    TicketRow,
)
from domain.bookings import Booking, BookingStatus, Ticket
from domain.domain_events import (
    REFUNDING_TYPE,
    BookingDifferenceReturned,
    BookingMoneyReturned,
    BookingPartiallyRefunded,
    BookingRefunded,
    BookingRefunding,
    EventSummary,
)
from domain.exchanges import LIVE
from domain.money_back import MoneyBack, PriceChange, RefundTerms, money_back
from domain.problems import ProblemType, Refused
from domain.refunds import Refund, RefundCause, RefundPolicy, RefundRequest, RefundState

_STORED = {"id", "booking_id", "requested_by", "cause", "reason", "sealed_reason", "body_sha256"}  # of a request
_REFUNDABLE = (BookingStatus.CONFIRMED, BookingStatus.PARTIALLY_REFUNDED)


class Plan(NamedTuple):
    """A refund at one moment: its tickets, what it changes of each in the same order, and what goes back."""

    booking: Booking
    tickets: tuple[Ticket, ...]
    changes: tuple[PriceChange, ...]
    terms: RefundTerms
    back: MoneyBack


async def plan(
    connection: AsyncConnection, booking_id: UUID, asked: Sequence[UUID] = (), *, waived: bool = False
) -> Plan:
    """The plan of a refund at this moment; nothing is changed.

    Args:
        connection: To the reservation service's database.
        booking_id: Which booking.
        asked: The tickets to give back; all valid ones if none is named.
        waived: In full and at any time, whatever the event's policy says.

    Raises:
        Refused: The booking is not paid, another refund of it is under way, it has no such tickets, or the event's
            policy does not allow it.
    """
    booking = await bookings.find(connection, booking_id)
    if booking is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such booking.")
    if booking.status is BookingStatus.REFUNDING:
        raise Refused(ProblemType.REFUND_IN_PROGRESS, "Another refund of this booking is under way.")
    if booking.status not in _REFUNDABLE:
        raise Refused(ProblemType.WRONG_STATE, f"The booking is {booking.status}.", booking_status=str(booking.status))
    await check_no_exchange(connection, booking.id)
    chosen = await _chosen(connection, booking, asked)
    price_of = await _prices(connection, booking.event_id)
    kept = await kept_for(connection, booking.id)
    changes = tuple(PriceChange(price_of[each.section], kept=kept.get(each.id, 0)) for each in chosen)
    terms = (await find_policies(connection, booking.event_id, waived=waived)).terms
    if not terms.are_open:
        raise Refused(ProblemType.REFUND_NOT_ALLOWED, _why_closed(terms.policy), until_hours=terms.policy.until_hours)
    return Plan(booking, chosen, changes, terms, money_back(terms, changes, booking.amount - booking.refunded))


async def check_no_exchange(connection: AsyncConnection, booking_id: UUID) -> None:
    """Raise Refused while a seat of the booking is being exchanged."""
    live = select(ExchangeRow.id).where(ExchangeRow.booking_id == booking_id, ExchangeRow.state.in_(LIVE))
    if (await connection.execute(live)).one_or_none():
        raise Refused(ProblemType.EXCHANGE_IN_PROGRESS, "A seat of this booking is being exchanged.")


async def _chosen(connection: AsyncConnection, booking: Booking, asked: Sequence[UUID]) -> tuple[Ticket, ...]:
    if not asked:
        return booking.tickets
    known = await connection.execute(select(TicketRow.id).where(TicketRow.booking_id == booking.id))
    if unknown := sorted(str(each) for each in set(asked) - set(known.scalars())):
        raise Refused(
            ProblemType.UNKNOWN_TICKETS,
            f"The booking has no such tickets: {', '.join(unknown)}.",
            field="tickets",
            tickets=unknown,
        )
    chosen = tuple(ticket for ticket in booking.tickets if ticket.id in asked)
    if void := sorted(str(each) for each in set(asked) - {ticket.id for ticket in chosen}):
        raise Refused(ProblemType.WRONG_STATE, f"Not valid any more: {', '.join(void)}.", tickets=void)
    return chosen


async def _prices(connection: AsyncConnection, event_id: UUID) -> dict[str, int]:
    rows = await connection.execute(select(SectionRow.name, SectionRow.price).where(SectionRow.event_id == event_id))
    return {row.name: row.price for row in rows}


def _why_closed(policy: RefundPolicy) -> str:
    if policy.until_hours is None:
        return "Tickets of this event cannot be given back."
    return f"Tickets of this event can be given back until {policy.until_hours} hours before it begins."


async def accept(connection: AsyncConnection, request: RefundRequest) -> tuple[Refund, Booking]:
    """Make the tickets void, put their places back on sale, and owe the buyer the money. This cannot be undone.

    Repeated, the current refund and booking.

    Raises:
        Refused: As for `plan`; then nothing is changed.
    """
    # One at a time for each booking: the second transaction sees the result of the first.
    await connection.execute(select(BookingRow.id).where(BookingRow.id == request.booking_id).with_for_update())
    known = await find(connection, request.id)
    if known:
        booking = await bookings.find(connection, known.booking_id)
        assert booking
        return known, booking
    planned = await plan(connection, request.booking_id, request.tickets, waived=request.waives_policy)
    booking, chosen = planned.booking, planned.tickets
    asked = request.model_dump(include=_STORED)
    await connection.execute(
        insert(RefundRow).values(**asked, amount=planned.back.amount, fee=planned.back.fee, currency=booking.currency),
    )
    await _make_void(connection, request.id, chosen)
    await _free_places(connection, booking, chosen)
    refund = await _begin(connection, booking, request.id, chosen, planned.back.given_before)
    now = await bookings.find(connection, booking.id)
    assert now
    return refund, now


async def owe_difference(
    connection: AsyncConnection, booking: Booking, refund_id: UUID, requested_by: UUID, amount: int, fee: int
) -> None:
    """Owe the buyer what goes back after an exchange for a cheaper seat; no ticket becomes void."""
    await connection.execute(
        insert(RefundRow).values(
            id=refund_id,
            booking_id=booking.id,
            requested_by=requested_by,
            cause=RefundCause.EXCHANGE,
            reason="A seat was exchanged for a cheaper one.",
            body_sha256="",
            amount=amount,
            fee=fee,
            currency=booking.currency,
        )
    )
    await _begin(connection, booking, refund_id, ())


async def _begin(
    connection: AsyncConnection, booking: Booking, refund_id: UUID, tickets: tuple[Ticket, ...], by_provider: int = 0
) -> Refund:
    refund = await find(connection, refund_id)
    assert refund

    def refunding(now: Booking) -> BookingRefunding:
        return BookingRefunding(
            **identity(now),
            refund_id=refund.id,
            tickets=tickets,
            amount=refund.amount,
            fee=refund.fee,
            currency=now.currency,
            cause=refund.cause,
            by_provider=by_provider,
        )

    await bookings.move(connection, booking.id, version=booking.version, to=BookingStatus.REFUNDING, tells=refunding)
    return refund


async def _make_void(connection: AsyncConnection, refund_id: UUID, tickets: Sequence[Ticket]) -> None:
    await connection.execute(
        update(TicketRow)
        .where(TicketRow.id.in_([ticket.id for ticket in tickets]))
        .values(status="void", refund_id=refund_id)
    )


async def _free_places(connection: AsyncConnection, booking: Booking, tickets: Sequence[Ticket]) -> None:
    """Lock sections by name and then seats by name, as everywhere."""
    general = Counter(ticket.section for ticket in tickets if ticket.seat is None)
    for section, quantity in sorted(general.items()):
        await connection.execute(
            update(SectionRow)
            .where(SectionRow.event_id == booking.event_id, SectionRow.name == section)
            .values(claimed=SectionRow.claimed - quantity)
        )
        await _shrink_claim(connection, booking.id, section, quantity)
    seats = [ticket.seat for ticket in tickets if ticket.seat is not None]
    own = (SeatRow.event_id == booking.event_id, SeatRow.name.in_(seats), SeatRow.booking_id == booking.id)
    await connection.execute(select(SeatRow.name).where(*own).order_by(SeatRow.name).with_for_update())
    await connection.execute(
        update(SeatRow).where(*own).values(status="available", booking_id=None, version=SeatRow.version + 1)
    )


async def _shrink_claim(connection: AsyncConnection, booking_id: UUID, section: str, quantity: int) -> None:
    claim = (GeneralClaimRow.booking_id == booking_id, GeneralClaimRow.section == section)
    gone = await connection.execute(delete(GeneralClaimRow).where(*claim, GeneralClaimRow.quantity <= quantity))
    if gone.rowcount == 0:
        await connection.execute(
            update(GeneralClaimRow).where(*claim).values(quantity=GeneralClaimRow.quantity - quantity)
        )


async def settle(connection: AsyncConnection, refund_id: UUID) -> Refund:
    """Record that the money is paid, once; the booking leaves `refunding`."""
    refund = await find(connection, refund_id)
    assert refund
    locked = select(BookingRow).where(BookingRow.id == refund.booking_id).with_for_update()
    row = (await connection.execute(locked)).one()
    settled = await connection.execute(
        update(RefundRow)
        .where(RefundRow.id == refund_id, RefundRow.state != RefundState.SUCCEEDED)
        .values(state=RefundState.SUCCEEDED, settled_at=func.now())
    )
    if settled.rowcount:
        await connection.execute(
            update(BookingRow)
            .where(BookingRow.id == refund.booking_id)
            .values(refunded=BookingRow.refunded + refund.amount)
        )
        await _tell(connection, refund, row.version, await event_summaries.summary_of(connection, row.event_id))
        refund = await find(connection, refund_id) or refund
    return refund


async def _tell(connection: AsyncConnection, refund: Refund, version: int, event: EventSummary) -> None:
    to = await _goes_to(connection, refund)
    kind = BookingDifferenceReturned if refund.cause is RefundCause.EXCHANGE else _TELLS[to]
    by_provider = await _given_by_provider(connection, refund)

    def returned(now: Booking) -> BookingMoneyReturned:
        return kind(
            **identity(now),
            refund_id=refund.id,
            event_name=event.name,
            event=event,
            amount=refund.amount,
            fee=refund.fee,
            refunded=now.refunded,
            tickets=len(refund.tickets),
            currency=now.currency,
            cause=refund.cause,
            by_provider=by_provider,
        )

    await bookings.move(connection, refund.booking_id, version=version, to=to, tells=returned)


async def _given_by_provider(connection: AsyncConnection, refund: Refund) -> int:
    """What the provider gave back in place of a refund: before it began, and by how much it was lowered since."""
    begun = await connection.scalar(
        select(DomainEventRow.data)
        .where(DomainEventRow.aggregate_id == refund.booking_id, DomainEventRow.type == REFUNDING_TYPE)
        .where(DomainEventRow.data.contains({"refund_id": str(refund.id)}))
    )
    return int(begun["amount"] + begun.get("by_provider", 0) - refund.amount) if begun else 0


_TELLS: dict[BookingStatus, type[BookingMoneyReturned]] = {
    BookingStatus.PARTIALLY_REFUNDED: BookingPartiallyRefunded,
    BookingStatus.REFUNDED: BookingRefunded,
}


async def _goes_to(connection: AsyncConnection, refund: Refund) -> BookingStatus:
    """`confirmed` if no ticket was ever refunded: then the refund belongs to an exchange."""
    counted = await connection.execute(
        select(
            func.count().filter(TicketRow.status == "valid").label("left"),
            func.count(TicketRow.refund_id).label("given_back"),
        ).where(TicketRow.booking_id == refund.booking_id)
    )
    tickets = counted.one()
    if not tickets.given_back:
        return BookingStatus.CONFIRMED
    return BookingStatus.PARTIALLY_REFUNDED if tickets.left else BookingStatus.REFUNDED


async def flag(connection: AsyncConnection, refund_id: UUID, state: RefundState) -> None:
    """Mark whether a refund waits for an operator."""
    await connection.execute(
        update(RefundRow).where(RefundRow.id == refund_id, RefundRow.state != RefundState.SUCCEEDED).values(state=state)
    )


async def find(connection: AsyncConnection, refund_id: UUID) -> Refund | None:
    """The refund in its current state, with its tickets; None if it was never begun."""
    row = (await connection.execute(select(RefundRow).where(RefundRow.id == refund_id))).one_or_none()
    return await _refund(connection, row) if row else None


async def of_booking(connection: AsyncConnection, booking_id: UUID) -> list[Refund]:
    """A booking's refunds, oldest first."""
    rows = await connection.execute(
        select(RefundRow).where(RefundRow.booking_id == booking_id).order_by(RefundRow.created_at)
    )
    return [await _refund(connection, row) for row in rows]


async def digest_of(connection: AsyncConnection, refund_id: UUID) -> str:
    """The digest of the request behind a refund."""
    return (await connection.execute(select(RefundRow.body_sha256).where(RefundRow.id == refund_id))).scalar_one()


async def find_unfinished(connection: AsyncConnection, *, older: timedelta, limit: int) -> list[RefundRequest]:
    """Requests of refunds that are not paid and were accepted at least `older` ago, in random order."""
    rows = await connection.execute(
        _REQUESTS.where(RefundRow.state != "succeeded", RefundRow.created_at <= func.now() - older)
        .order_by(func.random())
        .limit(limit)
    )
    return [_request(row) for row in rows]


async def request_of(connection: AsyncConnection, refund_id: UUID) -> RefundRequest:
    """The request behind a refund, as far as it is stored."""
    return _request((await connection.execute(_REQUESTS.where(RefundRow.id == refund_id))).one())


_REQUESTS = select(RefundRow, BookingRow.event_id).join(BookingRow, BookingRow.id == RefundRow.booking_id)


def _request(row: Any) -> RefundRequest:
    return RefundRequest(**{name: getattr(row, name) for name in (*_STORED, "event_id")})


async def count_parked(connection: AsyncConnection) -> int:
    """How many refunds wait for an operator."""
    parked = select(func.count()).where(RefundRow.state == str(RefundState.NEEDS_ATTENTION))
    return (await connection.execute(parked)).scalar_one()


async def _refund(connection: AsyncConnection, row: Row[Any]) -> Refund:
    tickets = await connection.execute(
        select(TicketRow.id).where(TicketRow.refund_id == row.id).order_by(TicketRow.ordinal)
    )
    return Refund(
        id=row.id,
        booking_id=row.booking_id,
        state=RefundState(row.state),
        cause=RefundCause(row.cause),
        reason=row.reason,
        sealed_reason=row.sealed_reason,
        amount=row.amount,
        fee=row.fee,
        currency=row.currency,
        tickets=tuple(tickets.scalars()),
        created_at=row.created_at,
        settled_at=row.settled_at,
    )
