"""A person's bookings from the reservation service, for the export of their account."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from pydantic import BaseModel

from adapters.internal.client import InternalClient
from domain.booking_details import BookingDetails
from domain.bookings import BookingStatus
from domain.refunds import Refund

_AT_ONCE: Final = 5
STRICT: Final = "handling=strict"
"""`Prefer` (RFC 7240) of a call that wants no refunds rather than some whose reasons cannot be opened now."""


class _Page(BaseModel):
    bookings: list[BookingDetails]
    next_cursor: UUID | None


class _Refunds(BaseModel):
    refunds: list[Refund]


class BookingHistoryClient:
    """The reservation service's `GET /v1/me/bookings` and `GET /v1/bookings/{booking_id}/refunds`."""

    def __init__(self, api_url: str) -> None:
        self._reservation = InternalClient("reservation", api_url)

    async def close(self) -> None:
        """Close the connections."""
        await self._reservation.close()

    async def newest_of_caller(self, authorization: str) -> tuple[Sequence[BookingDetails], UUID | None]:
        """The newest bookings of the person whose `Authorization` header this is, and the cursor of the older ones.

        Two pages at most: each call, also those for refunds, takes its time and counts for the person's limit.

        Raises:
            Refused: UNAVAILABLE: The reservation service gives no proper answer.
        """
        newest = await self._page(authorization, {})
        if newest.next_cursor is None:
            return newest.bookings, None
        older = await self._page(authorization, {"cursor": str(newest.next_cursor)})
        return newest.bookings + older.bookings, older.next_cursor

    async def refunds_of_caller(self, authorization: str, bookings: Sequence[BookingDetails]) -> Sequence[Refund]:
        """The refunds of these bookings, with their reasons.

        Raises:
            Refused: UNAVAILABLE: The reservation service gives no proper answer, or cannot open the reasons now.
        """
        headers, free = {"Authorization": authorization, "Prefer": STRICT}, asyncio.Semaphore(_AT_ONCE)

        async def read(booking: BookingDetails) -> Sequence[Refund]:
            path = f"/v1/bookings/{booking.id}/refunds"
            async with free:
                return (await self._reservation.get(path, _Refunds, headers=headers)).refunds

        return [refund for some in await asyncio.gather(*map(read, filter(_has_refunds, bookings))) for refund in some]

    async def _page(self, authorization: str, params: dict[str, str]) -> _Page:
        headers = {"Authorization": authorization}
        return await self._reservation.get("/v1/me/bookings", _Page, params=params, headers=headers)


def _has_refunds(booking: BookingDetails) -> bool:
    return bool(booking.refunded or booking.void_tickets or booking.status is BookingStatus.REFUNDING)
