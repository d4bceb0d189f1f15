"""Exchanging a seat: the old seat is released only after the payment of the new one, in one step."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from domain.identity import Role
from tests.buyer import DECLINED_CARD, Buyer
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.scenarios.test_refunds import accepted, becomes
from tests.waiting import eventually


async def bought(platform: PlatformClient, *seats: str, **event: Any) -> tuple[str, Buyer, dict[str, Any]]:
    """An event with seats at 5000 (A) and 4000 (B), a buyer, and a booking of these seats."""
    opened, buyer = await platform.event(**event), platform.new_buyer()
    return opened, buyer, await buyer.bought(opened, *seats)


def ticket_of(booking: dict[str, Any], seat: str | None) -> str:
    return next(str(ticket["id"]) for ticket in booking["tickets"] if ticket["seat"] == seat)


async def exchanged(buyer: Buyer, booking: dict[str, Any], old: str, new: str, **more: Any) -> dict[str, Any]:
    answer = await buyer.exchange(booking["id"], ticket_of(booking, old), new, **more)
    assert (answer.status_code, answer.json()["state"]) == (200, "completed"), answer.text
    body: dict[str, Any] = answer.json()
    return body


async def sits(
    platform: PlatformClient, buyer: Buyer, event: str, booking: dict[str, Any], *, on: str, not_on: str
) -> None:
    """The booking has a valid ticket for one seat, and the other is for sale."""
    now = await buyer.booking(booking["id"])
    assert [ticket["seat"] for ticket in now["tickets"] if ticket["seat"] in (on, not_on)] == [on]
    assert on in now["seats"]
    assert not_on not in now["seats"]
    assert await platform.seat(event, on) == "sold"
    assert await platform.seat(event, not_on) == "available"


def refused_as(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rsplit("/")[-1]


async def test_a_more_expensive_seat_is_charged_and_the_old_one_is_for_sale(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1", "B-1-2")

    exchange = await exchanged(buyer, booking, "B-1-1", "A-1-1")

    assert (exchange["difference"], exchange["refund_id"]) == (1000, None)
    await sits(platform, buyer, event, booking, on="A-1-1", not_on="B-1-1")
    now = await buyer.booking(booking["id"])
    assert (now["status"], now["amount"], now["refunded"]) == ("confirmed", 9000, 0)
    assert exchange["new_ticket"] == ticket_of(now, "A-1-1")
    assert await platform.provider.kept(booking["id"]) == 9000
    keys = [each["key"] for each in await platform.provider.calls(booking["id"], "capture")]
    assert f"{booking['id']}:exchange:capture:2" in keys
    await platform.new_buyer().bought(event, "B-1-1")


async def test_a_cheaper_seat_is_exchanged_at_once_and_the_difference_refunded(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    await platform.provider.will("processing", "refund", booking["id"])

    exchange = await exchanged(buyer, booking, "A-1-1", "B-1-1", method=None)

    assert exchange["difference"] == -1000
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    [pending] = await eventually(lambda: platform.provider.refunds(booking["id"]))
    [refund] = await buyer.refunds(booking["id"])
    assert (refund["id"], refund["cause"], refund["state"]) == (exchange["refund_id"], "exchange", "pending")
    assert (await buyer.booking(booking["id"]))["refunded"] == 0

    await platform.provider.decide(pending["id"], "succeeded")
    await platform.refund_saga(refund["id"]).signal("provider_has_news")
    await becomes(buyer, booking["id"], "confirmed")
    assert (await buyer.booking(booking["id"]))["refunded"] == 1000
    assert await platform.provider.kept(booking["id"]) == 9000


async def test_an_equal_seat_moves_no_money_and_needs_no_provider(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "A-1-1")
    await exchanged(buyer, booking, "A-1-1", "A-2-2", method=None)
    await sits(platform, buyer, event, booking, on="A-2-2", not_on="A-1-1")
    assert len(await platform.provider.intents(booking["id"])) == 1
    assert await buyer.refunds(booking["id"]) == []


@pytest.mark.thorough
async def test_a_seat_can_be_exchanged_forth_and_back(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await exchanged(buyer, booking, "B-1-1", "A-1-1")
    await exchanged(buyer, await buyer.booking(booking["id"]), "A-1-1", "B-1-1", method=None)
    await becomes(buyer, booking["id"], "confirmed")
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert await platform.provider.kept(booking["id"]) == 4000
    assert [each["state"] for each in await buyer.exchanges(booking["id"])] == ["completed", "completed"]


async def test_a_buyer_whose_card_is_declined_keeps_the_old_seat_and_may_try_again(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    key, ticket = str(uuid4()), ticket_of(booking, "B-1-1")

    declined = await buyer.exchange(booking["id"], ticket, "A-1-1", method=DECLINED_CARD, key=key)

    assert refused_as(declined) == (402, "payment-declined")
    assert declined.json()["code"] == "generic_decline"
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert await platform.provider.kept(booking["id"]) == 4000
    again = await buyer.exchange(booking["id"], ticket, "A-1-1", method=DECLINED_CARD, key=key)
    assert refused_as(again) == (402, "payment-declined")
    [failed] = await buyer.exchanges(booking["id"])
    assert failed["failure"]["type"] == "payment-declined"
    await exchanged(buyer, booking, "B-1-1", "A-1-1")


async def test_a_capture_that_is_refused_leaves_the_old_seat_and_no_money_is_kept(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await platform.provider.will("decline", "capture", booking["id"])
    answer = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1")
    assert refused_as(answer)[0] == 402, answer.text
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")
    assert await platform.provider.kept(booking["id"]) == 4000


async def test_of_many_exchanges_for_one_seat_one_succeeds_and_the_others_keep_theirs(
    platform: PlatformClient,
) -> None:
    event, buyers = await platform.event(), [platform.new_buyer() for _ in range(5 if FULL else 3)]
    bookings = [await buyer.bought(event, f"B-1-{number}") for number, buyer in enumerate(buyers, start=1)]

    answers = await asyncio.gather(
        *(
            buyer.exchange(booking["id"], booking["tickets"][0]["id"], "A-1-1")
            for buyer, booking in zip(buyers, bookings, strict=True)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] + (len(buyers) - 1) * [409]
    for answer in answers:
        if answer.status_code == 409:
            assert (refused_as(answer)[1], answer.json()["seats"]) == ("seats-unavailable", ["A-1-1"])


async def test_a_double_click_is_one_exchange_and_its_key_refuses_another_body(
    platform: PlatformClient,
) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    key, ticket = str(uuid4()), ticket_of(booking, "B-1-1")

    answers = await asyncio.gather(*(buyer.exchange(booking["id"], ticket, "A-1-1", key=key) for _ in range(6)))

    assert {(answer.status_code, answer.json()["new_ticket"]) for answer in answers} == {
        (200, answers[0].json()["new_ticket"])
    }
    assert await platform.provider.kept(booking["id"]) == 5000
    other = await buyer.exchange(booking["id"], ticket, "A-1-2", key=key)
    assert refused_as(other) == (422, "idempotency-key-reused")


async def test_of_a_concurrent_exchange_and_refund_exactly_one_changes_the_booking(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    ticket = ticket_of(booking, "B-1-1")

    exchange, refund = await asyncio.gather(
        buyer.exchange(booking["id"], ticket, "A-1-1"), buyer.refund(booking["id"], ticket)
    )

    assert sorted((exchange.status_code == 200, refund.status_code == 202)) == [False, True], (exchange, refund)
    lost = refund if exchange.status_code == 200 else exchange
    assert lost.status_code == 409
    await becomes(buyer, booking["id"], "confirmed" if exchange.status_code == 200 else "refunded")


async def test_a_refund_of_an_exchanged_booking_empties_both_payments(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1", "B-1-2")
    await exchanged(buyer, booking, "B-1-1", "A-1-1")
    await accepted(buyer, booking["id"], ticket_of(await buyer.booking(booking["id"]), "A-1-1"))
    await becomes(buyer, booking["id"], "partially_refunded")
    assert await platform.provider.kept(booking["id"]) == 4000
    await platform.assert_audit_is_clean()

    await accepted(buyer, booking["id"])
    await becomes(buyer, booking["id"], "refunded")

    kept = [each["captured"] - each["refunded"] for each in await platform.provider.intents(booking["id"])]
    assert kept == [0, 0]
    assert await platform.seat(event, "A-1-1") == await platform.seat(event, "B-1-2") == "available"


async def test_a_refund_part_that_fails_is_retried_and_the_other_is_paid_once(
    platform: PlatformClient,
) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    await exchanged(buyer, booking, "B-1-1", "A-1-1")
    await platform.provider.will("decline", "refund", booking["id"])

    await accepted(buyer, booking["id"])

    await becomes(buyer, booking["id"], "refunded")
    assert await platform.provider.kept(booking["id"]) == 0
    succeeded = [each for each in await platform.provider.refunds(booking["id"]) if each["status"] == "succeeded"]
    assert sorted(each["amount"] for each in succeeded) == [1000, 4000]


async def test_a_partially_refunded_booking_can_exchange_its_remaining_tickets(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "A-1-1", "A-1-2")
    await accepted(buyer, booking["id"], ticket_of(booking, "A-1-1"))
    await becomes(buyer, booking["id"], "partially_refunded")
    gone = await buyer.exchange(booking["id"], ticket_of(booking, "A-1-1"), "A-1-3")
    assert refused_as(gone) == (409, "wrong-state")
    await exchanged(buyer, booking, "A-1-2", "B-1-1", method=None)
    await becomes(buyer, booking["id"], "partially_refunded")
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-2")
    assert (await buyer.booking(booking["id"]))["refunded"] == 6000


async def test_an_impossible_exchange_is_refused_and_changes_nothing(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "B-1-1", quantities={"Standing": 1})
    held = await buyer.held(event, "B-1-2")
    await platform.new_buyer().bought(event, "A-1-9")
    ticket, standing = ticket_of(booking, "B-1-1"), ticket_of(booking, None)
    cases = {
        (422, "unknown-tickets"): buyer.exchange(booking["id"], str(uuid4()), "A-1-1"),
        (422, "unknown-seats"): buyer.exchange(booking["id"], ticket, "A-9-99"),
        (422, "unknown-provider"): buyer.exchange(booking["id"], ticket, "A-1-1", provider="paypal"),
        (409, "wrong-state"): buyer.exchange(held, ticket, "A-1-1"),
        (404, "not-found"): platform.new_buyer().exchange(booking["id"], ticket, "A-1-1"),
    }
    for expected, call in cases.items():
        assert refused_as(await call) == expected
    for seat in ("A-1-9", "B-1-1", "B-1-2"):
        taken = await buyer.exchange(booking["id"], ticket, seat)
        assert (refused_as(taken), taken.json()["seats"]) == ((409, "seats-unavailable"), [seat])
    for field, call in {
        "provider": buyer.exchange(booking["id"], ticket, "A-1-1", method=None),
        "payment_method": buyer.exchange(booking["id"], ticket, "A-1-1", provider="iyzico"),
        "ticket": buyer.exchange(booking["id"], standing, "A-1-1"),
        "body.seat": buyer.exchange(booking["id"], ticket, "nowhere"),
        "body.payment_method": buyer.exchange(booking["id"], ticket, "A-1-1", method="p4242424242424242"),
    }.items():
        answer = await call
        assert answer.status_code == 422, answer.text
        assert field in (answer.json().get("field"), *(each["field"] for each in answer.json().get("errors", ())))
    assert await buyer.exchanges(booking["id"]) == []
    assert await buyer.booking(booking["id"]) == booking


@pytest.mark.parametrize("policy", [{"until_hours": None}, {"until_hours": 48}])
async def test_outside_the_policy_nothing_is_exchanged(platform: PlatformClient, policy: dict[str, int | None]) -> None:
    _, buyer, booking = await bought(platform, "B-1-1", exchange_policy=policy, starts_in=timedelta(hours=47))
    refused = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1")
    assert refused_as(refused) == (409, "exchange-not-allowed")
    assert refused.json()["until_hours"] == policy["until_hours"]


async def test_support_reads_the_exchange_in_the_bookings_story(platform: PlatformClient) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    exchange = await exchanged(buyer, booking, "B-1-1", "A-1-1")
    support = platform.new_buyer(Role.SUPPORT)
    timeline = (await support.get(f"/v1/bookings/{booking['id']}/timeline")).json()
    [told] = timeline["exchanges"]
    assert told["exchange"]["id"] == exchange["id"]
    steps = [step["what"] for step in told["steps"] if step["kind"] == "step"]
    assert steps[:5] == ["hold_new_seat", "authorize", "commit_exchange", "capture_difference", "swap_seats"]
    assert [each["type"] for each in timeline["domain_events"]][-1] == "booking.ticket_exchanged"
    assert (await support.get(f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}")).json() == exchange


async def test_the_organizers_figures_follow_the_exchanges(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1", "A-1-1")
    await exchanged(buyer, booking, "B-1-1", "A-1-2")

    async def counted(*figures: int) -> bool:
        return await platform.sales(event) == figures

    await eventually(lambda: counted(1, 2, 10000), within=30)
    await exchanged(buyer, await buyer.booking(booking["id"]), "A-1-1", "B-2-1", method=None)
    await eventually(lambda: counted(1, 2, 9000), within=30)


@pytest.mark.thorough
async def test_a_cancelled_event_also_refunds_the_price_of_the_exchange(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    await exchanged(buyer, booking, "B-1-1", "A-1-1")
    await platform.cancel(event)
    await becomes_refunded(buyer, booking["id"])
    assert await platform.provider.kept(booking["id"]) == 0


async def becomes_refunded(buyer: Buyer, booking: str) -> None:
    async def is_refunded() -> bool:
        return await buyer.status(booking) == "refunded"

    await eventually(is_refunded, within=60)
