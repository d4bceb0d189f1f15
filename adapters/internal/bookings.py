"""A person's bookings, asked of the reservation service on their behalf: whoever exports an account wants them, too."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import httpx2
from pydantic import BaseModel, ValidationError

from domain.bookings import Booking
from domain.problems import ProblemType, Refused


class _Page(BaseModel):
    bookings: list[Booking]
    next_cursor: UUID | None


class BookingHistory:
    """The reservation service's `GET /v1/me/bookings`."""

    def __init__(self, api_url: str) -> None:
        self._client = httpx2.AsyncClient(base_url=api_url, timeout=5.0, trust_env=False)

    async def close(self) -> None:
        await self._client.aclose()

    async def of_caller(self, authorization: str) -> Sequence[Booking]:
        """All bookings of the person whose `Authorization` header this is, newest first.

        Raises:
            Refused: UNAVAILABLE: the reservation service does not answer, or not as agreed.
        """
        bookings: list[Booking] = []
        cursor: UUID | None = None
        try:
            while True:
                page = await self._page(authorization, cursor)
                bookings += page.bookings
                if (cursor := page.next_cursor) is None:
                    return bookings
        except (httpx2.HTTPError, ValidationError) as error:
            raise Refused(ProblemType.UNAVAILABLE, f"no bookings to be had: {type(error).__name__}") from None

    async def _page(self, authorization: str, cursor: UUID | None) -> _Page:
        answer = await self._client.get(
            "/v1/me/bookings",
            params={"cursor": str(cursor)} if cursor else {},
            headers={"Authorization": authorization},
        )
        return _Page.model_validate_json(answer.raise_for_status().content)
