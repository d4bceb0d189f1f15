"""An event's policies, together with the database's clock, which decides whether they are open."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from db.reservation.tables import EventRow
from domain.exchanges import ExchangePolicy
from domain.money_back import RefundTerms
from domain.refunds import RefundPolicy


class Policies(NamedTuple):
    """Both policies of an event at one moment (UTC).

    Attributes:
        terms: Those by which money goes back.
        exchange: When seats may be exchanged.
    """

    terms: RefundTerms
    exchange: ExchangePolicy

    @property
    def starts_at(self) -> datetime:
        """When the event begins."""
        return self.terms.starts_at

    @property
    def now(self) -> datetime:
        """The moment, by the database's clock."""
        return self.terms.now


async def find_policies(connection: AsyncConnection, event_id: UUID, *, waived: bool = False) -> Policies:
    """The policies of an event that was on sale once.

    With `waived`, and of a cancelled event, money goes back in full at any time.
    """
    chosen = select(EventRow, func.now().label("now")).where(EventRow.id == event_id)
    event = (await connection.execute(chosen)).one()
    refund = RefundPolicy(
        until_hours=event.refund_until_hours,
        fee_percent=event.refund_fee_percent,
        fee_fixed=event.refund_fee_fixed,
    )
    # The cancellation's own refunds may take hours; a buyer's own refund before them is owed the same.
    is_waived = waived or event.status == "cancelled"
    terms = RefundTerms(refund, event.starts_at, event.now, event.amount_step, is_waived)
    return Policies(terms, ExchangePolicy(until_hours=event.exchange_until_hours))
