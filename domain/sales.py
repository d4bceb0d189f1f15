"""What an event has sold."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from domain.money import Currency


class Sales(BaseModel):
    """Money is in minor units: `taken` from buyers, and `refunded` of that.

    Attributes:
        bookings: Paid ones, those that were refunded since among them.
        tickets: Those that are valid now.
    """

    model_config = ConfigDict(frozen=True)

    event_id: UUID
    currency: Currency
    bookings: int
    tickets: int
    taken: int
    refunded: int
