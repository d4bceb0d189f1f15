"""What a buyer and support can see of a booking while it happens and afterwards."""

from __future__ import annotations

import asyncio
import json

from domain.identity import Role
from tests.box_office import DECLINED_CARD, BoxOffice


async def test_a_buyer_follows_a_booking_to_its_end(box_office: BoxOffice) -> None:
    event, buyer = await box_office.event(), box_office.somebody()
    booking = await buyer.held(event, "A-1-1")
    statuses: list[str] = []

    async def follow() -> None:
        async with box_office.http.stream("GET", f"/v1/bookings/{booking}/stream", headers=buyer.headers) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    statuses.append(json.loads(line.removeprefix("data:"))["status"])

    following = asyncio.create_task(follow())
    await buyer.pay(booking)
    await asyncio.wait_for(following, 20)
    assert statuses[-1] == "confirmed"


async def test_support_reads_every_step_and_a_buyer_may_not(box_office: BoxOffice) -> None:
    event, buyer, support = await box_office.event(), box_office.somebody(), box_office.somebody(Role.SUPPORT)
    booking = await buyer.held(event, "A-1-1")
    await box_office.provider.will("500_before", "capture", booking)
    await buyer.pay(booking, DECLINED_CARD)
    await buyer.pay(booking)

    story = (await support.get(f"/v1/bookings/{booking}/timeline")).json()

    steps = [entry["what"] for entry in story["steps"] if entry["kind"] == "step"]
    assert steps == [
        "hold", "start_payment", "authorize", "keep_hold", "start_payment", "authorize", "commit", "capture", "issue",
    ]  # fmt: skip
    [retry] = [entry for entry in story["steps"] if entry["kind"] == "retry" or (entry["attempts"] or 1) > 1]
    assert (retry["what"], retry["attempts"]) == ("capture", 2)
    assert [entry["what"] for entry in story["steps"] if entry.get("problem")] == []  # a decline is none
    assert [told["type"] for told in story["domain_events"]] == [
        "booking.held", "booking.paying", "booking.held", "booking.paying", "booking.confirmed",
    ]  # fmt: skip
    assert (await buyer.get(f"/v1/bookings/{booking}/timeline")).status_code == 403


async def test_nobody_follows_another_persons_booking(box_office: BoxOffice) -> None:
    event = await box_office.event()
    booking = await box_office.somebody().held(event, "A-1-1")
    assert (await box_office.somebody().get(f"/v1/bookings/{booking}/stream")).status_code == 404
