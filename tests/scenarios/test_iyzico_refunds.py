"""A refund of a part at iyzico, which has no idempotency keys, is made once, also while its first request runs."""

from __future__ import annotations

from typing import Any

from tests.buyer import Buyer
from tests.conftest import TEST_SETTINGS
from tests.iyzico_buyer import APPROVED
from tests.platform_client import PlatformClient
from tests.scenarios.test_exchange import exchanged
from tests.scenarios.test_iyzico import browses, ordered
from tests.scenarios.test_refunds import accepted, becomes
from tests.waiting import eventually

QUIET = float(TEST_SETTINGS["SEATWRIGHT_IYZICO_QUIET_SECONDS"])
OUTLASTS_US = 4.0
assert float(TEST_SETTINGS["SEATWRIGHT_PAYMENT_TIMEOUT"]) < OUTLASTS_US < QUIET


async def bought(platform: PlatformClient, *seats: str) -> tuple[Buyer, dict[str, Any]]:
    buyer = platform.new_buyer()
    booking = await buyer.held(await platform.event(), *seats)
    await browses(await ordered(buyer, booking), APPROVED)
    await buyer.ends_as(booking, "confirmed")
    return buyer, await buyer.booking(booking)


async def asked(platform: PlatformClient, booking: str) -> list[float]:
    """When iyzico was asked for refunds, in seconds."""
    return [each["at"] for each in await platform.provider.calls(booking, "refund")]


async def slow_request_has_ended(platform: PlatformClient, booking: str) -> bool:
    return any("slow" in each["faults"] for each in await platform.provider.calls(booking, "refund"))


async def gives_a_ticket_back(platform: PlatformClient, fault: str) -> tuple[Buyer, str]:
    """One of four tickets, so that the money would be there for a second refund of the same amount."""
    buyer, booking = await bought(platform, "A-1-1", "A-1-2", "A-1-3", "A-1-4")
    await platform.provider.will(fault, "refund", booking["id"], face="iyzico", delay_seconds=OUTLASTS_US)
    await accepted(buyer, booking["id"], booking["tickets"][0]["id"])
    return buyer, booking["id"]


async def is_paid_back_once(platform: PlatformClient, buyer: Buyer, booking: str) -> None:
    await becomes(buyer, booking, "partially_refunded", within=60)
    assert [each["amount"] for each in await platform.provider.refunds(booking)] == [5000]
    assert await platform.provider.kept(booking) == 15000


async def test_a_part_goes_back_once_although_its_request_outlasts_us(platform: PlatformClient) -> None:
    buyer, booking = await gives_a_ticket_back(platform, "slow")
    await eventually(lambda: slow_request_has_ended(platform, booking))
    await is_paid_back_once(platform, buyer, booking)
    assert len(await asked(platform, booking)) == 1


async def test_a_request_that_got_lost_is_made_again_after_the_quiet_time(platform: PlatformClient) -> None:
    buyer, booking = await gives_a_ticket_back(platform, "reset_before")
    await is_paid_back_once(platform, buyer, booking)
    first, second = await asked(platform, booking)
    assert second - first >= QUIET


async def test_an_answer_that_got_lost_is_looked_up_at_once(platform: PlatformClient) -> None:
    buyer, booking = await gives_a_ticket_back(platform, "reset_after")
    await becomes(buyer, booking, "partially_refunded", within=QUIET / 2)
    await is_paid_back_once(platform, buyer, booking)


async def test_the_difference_of_a_cheaper_seat_goes_back_once(platform: PlatformClient) -> None:
    buyer, booking = await bought(platform, "A-1-1")
    await platform.provider.will("slow", "refund", booking["id"], face="iyzico", delay_seconds=OUTLASTS_US)
    await exchanged(buyer, booking, "A-1-1", "B-1-1")

    async def is_back() -> bool:
        assert await slow_request_has_ended(platform, booking["id"])
        return [each["state"] for each in await buyer.refunds(booking["id"])] == ["succeeded"]

    await eventually(is_back)
    assert await platform.provider.kept(booking["id"]) == 4000
    assert len(await asked(platform, booking["id"])) == 1
