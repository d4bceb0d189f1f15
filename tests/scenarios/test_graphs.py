"""A real Prometheus reads the stack during a small sale, and has an answer for every graph."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from ops.dashboards.boards import DASHBOARDS, forgotten
from stack import Stack
from tests.buyer import DECLINED_CARD
from tests.http_client import http_client
from tests.platform_client import PlatformClient
from tests.prometheus import Prometheus, watched_by_prometheus
from tests.waiting import eventually

pytestmark = pytest.mark.thorough  # what the graphs read is in test_metrics.py and tests/ops/test_dashboards.py


@pytest.fixture
async def prometheus(stack: Stack) -> AsyncIterator[Prometheus]:
    async with watched_by_prometheus(stack) as running:
        yield running


async def small_sale(platform: PlatformClient) -> None:
    """Seats that are sold, refused, declined, cancelled and refunded."""
    event, buyer = await platform.event(), platform.new_buyer()
    await asyncio.gather(*(buyer.bought(event, f"A-1-{seat}") for seat in range(1, 6)))
    assert (await buyer.hold(event, "A-1-1")).status_code == 409
    booking = await buyer.held(event, "A-1-6")
    assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    assert (await buyer.cancel(booking)).status_code == 200
    refunded = await buyer.bought(event, "A-1-7")
    assert (await buyer.refund(refunded["id"])).status_code == 202
    await buyer.ends_as(refunded["id"], "refunded")


async def unanswered(prometheus: Prometheus) -> list[str]:
    """The queries of panels that find nothing, or no number."""
    queries = [
        (f"{board.name}: {panel.title}: {query}", query)
        for board in DASHBOARDS
        for panel in board.panels
        for query in panel.queries.values()
    ]
    found = [await prometheus.ask(query) for _, query in queries]
    return [
        name
        for (name, _), series in zip(queries, found, strict=True)
        if not any(value == value for _, value in series)  # a quantile of nothing is NaN
    ]


async def test_every_panel_has_data_during_a_sale_and_every_metric_has_a_panel(
    platform: PlatformClient, prometheus: Prometheus, stack: Stack
) -> None:
    async def all_are_read() -> bool:
        targets = await prometheus.targets()
        return len(targets) == 6 and set(targets.values()) == {"up"}

    await eventually(all_are_read)

    async def all_answer() -> bool:
        await small_sale(platform)  # again: a rate needs two reads with sales between them
        left = await unanswered(prometheus)
        assert not left, "\n".join(left)
        return True

    await eventually(all_answer, within=90, every=5)
    assert list(forgotten(await prometheus.names())) == []
    await the_pages_have_it_too(stack)


async def the_pages_have_it_too(stack: Stack) -> None:
    async with http_client(f"http://127.0.0.1:{stack.ports['graphs']}") as graphs:
        boards = (await graphs.get("/vmui/custom-dashboards")).json()["dashboardsSettings"]
        assert [board["title"] for board in boards] == [board.title for board in DASHBOARDS]

        async def sold() -> bool:
            query = {"query": 'sum(seatwright_bookings_total{outcome="confirmed"})'}
            found = (await graphs.get("/api/v1/query", params=query)).json()["data"]["result"]
            return bool(found) and float(found[0]["value"][1]) > 0

        await eventually(sold)
