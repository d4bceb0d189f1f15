"""The logs of the platform's processes, as operators collect them."""

from __future__ import annotations

import asyncio
import json

import pytest

from stack import Stack
from tests.buyer import CARD_WITH_3DS
from tests.platform_client import PlatformClient


def lines_that_are_no_json(stack: Stack) -> list[str]:
    found = []
    for process in ("api", "work", "relay", "consume"):
        for line in (stack.paths.folder / "logs" / f"{process}.log").read_text(errors="replace").splitlines():
            try:
                is_object = isinstance(json.loads(line), dict)
            except ValueError:
                is_object = False
            if line and not is_object:
                found.append(f"{process}: {line[:200]}")
    return found


@pytest.mark.disruptive
async def test_every_line_is_json_also_when_temporal_is_away(platform: PlatformClient, stack: Stack) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(await platform.event(), "A-1-1")
    await asyncio.to_thread(stack.kill, "temporal")
    try:
        assert (await buyer.at(platform.hasty).pay(booking, CARD_WITH_3DS)).status_code == 503
        await asyncio.sleep(10)  # the SDK's core complains after some tries
    finally:
        await asyncio.to_thread(stack.start, "temporal")
    assert lines_that_are_no_json(stack) == []
