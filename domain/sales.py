"""What an event has sold."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.money import Currency


class Sales(BaseModel):
    """The numbers of one event. `taken` is what buyers paid, `refunded` the part that they got back, in minor units.

    Attributes:
        bookings: Paid bookings, including those that were refunded since.
        tickets: Tickets that are valid now.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    currency: Currency
    bookings: int
    tickets: int
    taken: int
    refunded: int
