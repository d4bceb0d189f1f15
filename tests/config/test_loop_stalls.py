"""The longest time for which the event loop was held is a metric, until a minute or two later."""

from __future__ import annotations

import asyncio
import time

import pytest
from prometheus_client import REGISTRY

from config.loop_stalls import StallWatch, stalls_watched


def metric() -> float:
    return REGISTRY.get_sample_value("seatwright_loop_longest_stall_seconds") or 0.0


async def test_the_metric_says_for_how_long_the_loop_was_held() -> None:
    async with stalls_watched() as watch:
        await asyncio.sleep(0.05)
        before = watch.longest(time.monotonic())
        time.sleep(0.4)  # noqa: ASYNC251
        await asyncio.sleep(0.05)
        assert metric() == watch.longest(time.monotonic())
        assert metric() >= max(0.25, before)


@pytest.mark.parametrize(("later", "longest"), [(0, 2.0), (59, 2.0), (61, 2.0), (121, 0.0)])
def test_a_stall_is_shown_for_a_minute_or_two(later: float, longest: float) -> None:
    watch = StallWatch()
    for stall in (0.1, 2.0, 0.3):
        watch.add(stall, at=600)
    assert watch.longest(at=600 + later) == longest


def test_a_later_shorter_stall_does_not_hide_the_longest() -> None:
    watch = StallWatch()
    watch.add(2.0, at=600)
    watch.add(0.1, at=661)
    assert watch.longest(at=662) == 2.0
    watch.add(0.2, at=722)
    assert watch.longest(at=722) == 0.2
