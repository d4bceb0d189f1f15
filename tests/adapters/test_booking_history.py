"""The export of an account reads a bounded number of a person's bookings, and says where the older ones are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from aiohttp import web

from adapters.internal.bookings import BookingHistoryClient

CURSORS = [UUID(int=number) for number in range(1, 4)]


@pytest.fixture
async def bookings_of() -> AsyncIterator[tuple[str, list[str | None]]]:
    """A reservation service with four pages of bookings, and the cursors that were asked for."""
    asked: list[str | None] = []

    async def page(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.query.get("cursor"))
        following = [None, *map(str, CURSORS)].index(asked[-1])
        next_cursor = str(CURSORS[following]) if following < len(CURSORS) else None
        return web.json_response({"bookings": [], "next_cursor": next_cursor})

    runner = web.ServerRunner(web.Server(page))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    yield f"http://{host}:{port}", asked
    await runner.cleanup()


async def test_a_person_with_many_bookings_costs_two_pages_and_gets_the_cursor_of_the_rest(
    bookings_of: tuple[str, list[str | None]],
) -> None:
    url, asked = bookings_of
    client = BookingHistoryClient(url)
    _, cursor = await client.newest_of_caller("Bearer x")
    await client.close()
    assert cursor == CURSORS[1]
    assert asked == [None, str(CURSORS[0])]
