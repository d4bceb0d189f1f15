"""What can happen to a refund; each scenario buys first, and ends with all of the money back."""

from __future__ import annotations

import httpx2

from tests.faults.scenarios import WITHIN
from tests.providers.checkouts import Visit
from tests.providers.paying import LOST_FOR, Act, pays
from tests.waiting import eventually


async def _gives_back(visit: Visit) -> httpx2.Response:
    answer = await visit.buyer.refund(visit.booking, key="once")
    assert answer.status_code == 202, answer.text
    return answer


async def _buys(visit: Visit) -> None:
    await visit.buyer.ends_as(visit.booking, await pays(visit), within=WITHIN)


async def is_refunded(visit: Visit) -> str:
    await _buys(visit)
    await _gives_back(visit)
    return "refunded"


def is_refunded_although(kind: str) -> Act:
    """The call that gives the money back goes wrong."""

    async def act(visit: Visit) -> str:
        await _buys(visit)
        await visit.will(kind, "refund", delay_seconds=LOST_FOR)
        await _gives_back(visit)
        return "refunded"

    return act


async def waits_fails_and_succeeds(visit: Visit) -> str:
    """The provider leaves the refund pending, then fails it: nothing is called refunded, and another one is made."""
    await _buys(visit)
    provider, face = visit.platform.provider, visit.checkout.name
    await visit.will("processing", "refund")
    await _gives_back(visit)
    pending = await eventually(lambda: provider.left_pending(visit.booking, face), within=WITHIN)
    assert pending
    assert await visit.buyer.status(visit.booking) == "refunding"
    await provider.decide(pending, "failed", face)
    await visit.buyer.ends_as(visit.booking, "refunded", within=WITHIN)
    assert len(await provider.calls(visit.booking, "refund")) == 2
    return "refunded"
