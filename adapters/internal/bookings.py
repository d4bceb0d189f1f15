"""A person's bookings from the reservation service, for the export of their account."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pydantic import BaseModel

from adapters.internal.client import InternalClient
from domain.booking_details import BookingDetails


class _Page(BaseModel):
    bookings: list[BookingDetails]
    next_cursor: UUID | None


class BookingHistoryClient:
    """The reservation service's `GET /v1/me/bookings`."""

    def __init__(self, api_url: str) -> None:
        self._reservation = InternalClient("reservation", api_url)

    async def close(self) -> None:
        """Close the connections."""
        await self._reservation.close()

    async def of_caller(self, authorization: str) -> Sequence[BookingDetails]:
        """All bookings of the person whose `Authorization` header this is, newest first.

        Raises:
            Refused: UNAVAILABLE: The reservation service gives no proper answer.
        """
        page = await self._page(authorization, {})
        bookings = page.bookings
        while page.next_cursor:
            page = await self._page(authorization, {"cursor": str(page.next_cursor)})
            bookings += page.bookings
        return bookings

    async def _page(self, authorization: str, params: dict[str, str]) -> _Page:
        headers = {"Authorization": authorization}
        return await self._reservation.get("/v1/me/bookings", _Page, params=params, headers=headers)
