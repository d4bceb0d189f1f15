"""Quotes over REST: what a refund or an exchange would give back and cost, before it is done. Nothing changes."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from api.auth.guards import BookingReader
from api.http.deadlines import with_deadline
from api.http.problems import documented
from api.reservation.commands.exchange import check_charge
from api.reservation.commands.refund import check_waiver
from api.reservation.context import Reservation
from api.reservation.reads import ReadableBooking
from api.reservation.schemas import ExchangeQuoteBody, RefundQuoteBody
from db.reservation.exchanges import plans
from db.reservation.refunds import refunds
from domain.money import Currency
from domain.money_back import shares
from domain.problems import ProblemType

router = APIRouter(prefix="/v1/bookings/{booking_id}")

_UNTIL = Field(description="Until when the same call has the same result. `null`: at any time.")


class TicketQuote(BaseModel):
    """What one ticket gives back, in minor units; the tickets together give the quote's `amount` and `fee`.

    Its `price` is `amount` and `fee` together. They are less where the provider has given money back already, and more
    by what earlier exchanges have kept, where the policy is waived.
    """

    id: UUID
    section: str
    seat: str | None
    price: int
    amount: int = Field(description="The part that goes back.")
    fee: int = Field(description="The part that is kept.")


class RefundQuote(BaseModel):
    """What a refund of these tickets gives back, and what is kept, in minor units."""

    booking_id: UUID
    amount: int = Field(description="What goes back for all tickets together.")
    fee: int = Field(description="What is kept of all tickets together.")
    currency: Currency
    until: AwareDatetime | None = _UNTIL
    tickets: tuple[TicketQuote, ...] = Field(description="The tickets that would become void.")


class ExchangeQuote(BaseModel):
    """What an exchange costs, or gives back, in minor units."""

    booking_id: UUID
    ticket: UUID = Field(description="The ticket that would be exchanged.")
    old_seat: str = Field(description="The seat of that ticket.")
    seat: str = Field(description="The new seat.")
    difference: int = Field(description="The new seat's price less the old seat's.")
    charge: int = Field(description="Paid before the new ticket is issued.")
    returns: int = Field(description="Goes back by the event's refund policy, if the new seat costs less.")
    fee: int = Field(description="The rest of a negative `difference`, which is kept.")
    currency: Currency
    until: AwareDatetime | None = _UNTIL


@router.post(
    "/refund/quote",
    name="quote_refund",
    tags=["bookings"],
    summary="Quote a refund",
    responses=documented(
        ProblemType.NOT_FOUND,
        ProblemType.FORBIDDEN,
        ProblemType.WRONG_STATE,
        ProblemType.REFUND_NOT_ALLOWED,
        ProblemType.REFUND_IN_PROGRESS,
        ProblemType.EXCHANGE_IN_PROGRESS,
        ProblemType.UNKNOWN_TICKETS,
    ),
)
async def quote_refund(
    body: RefundQuoteBody, caller: BookingReader, booking: ReadableBooking, context: Reservation
) -> RefundQuote:
    """The refusals are those of the refund itself. Nothing changes, and no `Idempotency-Key` is needed."""
    check_waiver(caller, booking, body.waive_policy)

    async def plan() -> refunds.Plan:
        async with context.engine.connect() as connection:
            return await refunds.plan(connection, booking.id, body.tickets, waived=body.waive_policy)

    planned = await with_deadline(plan())
    backs = shares(planned.terms, planned.changes, planned.back)
    return RefundQuote(
        booking_id=booking.id,
        **planned.back.model_dump(),
        currency=booking.currency,
        tickets=tuple(
            TicketQuote(**ticket.model_dump(), price=change.before, amount=back.amount, fee=back.fee)
            for ticket, change, back in zip(planned.tickets, planned.changes, backs, strict=True)
        ),
    )


@router.post(
    "/exchange/quote",
    name="quote_exchange",
    tags=["exchanges"],
    summary="Quote an exchange",
    responses=documented(
        ProblemType.NOT_FOUND,
        ProblemType.WRONG_STATE,
        ProblemType.EVENT_NOT_ON_SALE,
        ProblemType.EXCHANGE_NOT_ALLOWED,
        ProblemType.EXCHANGE_IN_PROGRESS,
        ProblemType.REFUND_IN_PROGRESS,
        ProblemType.UNKNOWN_TICKETS,
        ProblemType.UNKNOWN_SEATS,
        ProblemType.AMOUNT_NOT_PAYABLE,
    ),
)
async def quote_exchange(body: ExchangeQuoteBody, booking: ReadableBooking, context: Reservation) -> ExchangeQuote:
    """Nothing changes: the seat is not held, and others may take it. No `Idempotency-Key` is needed."""

    async def plan() -> plans.Plan:
        async with context.engine.connect() as connection:
            return await plans.plan_seats(connection, booking.id, body.ticket, body.seat)

    planned = await with_deadline(plan())
    check_charge(planned, payment=None)
    ends = [planned.until, planned.back.until] if planned.back.amount and planned.back.until else [planned.until]
    return ExchangeQuote(
        booking_id=booking.id,
        ticket=body.ticket,
        old_seat=planned.old_seat,
        seat=body.seat,
        difference=planned.difference,
        charge=max(planned.difference, 0),
        returns=planned.back.amount,
        fee=planned.back.fee,
        currency=booking.currency,
        until=min(ends),
    )
