"""A seat of any event, for tests that expect nothing of the event: to publish one takes a workflow and its messages."""

from __future__ import annotations

from tests.platform_client import PlatformClient

_left: list[tuple[str, str]] = []


async def any_seat(platform: PlatformClient) -> tuple[str, str]:
    """An event and a seat of it for 5000, which no other test gets; its other seats are taken or free by chance."""
    if not _left:
        event = await platform.event()
        _left.extend((event, f"A-{row}-{seat}") for row in range(1, 4) for seat in range(1, 11))
    event, seat = _left.pop()
    if event not in platform.events:
        platform.events.append(event)  # to be audited at the end of this module as well
    return event, seat
