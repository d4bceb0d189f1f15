"""3-D Secure: the outcome arrives on every path, and the buyer may choose another payment instead."""

from __future__ import annotations

import asyncio
from math import ceil
from time import monotonic
from uuid import uuid4

import pytest

from adapters.redis.return_pauses import PAUSE
from config.settings import Settings
from tests.buyer import CARD, CARD_WITH_3DS, Buyer, with_reason
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.waiting import eventually
from tests.webhooks import rows

FORBID_TICKETS = "UPDATE bookings SET tickets_forbidden = true WHERE id = %s RETURNING version"
REFUSED_AFTER_3DS = "pm_card_threeDSecureRequiredChargeDeclined"
IN_VAIN = [
    (CARD_WITH_3DS, "fail", "payment_intent_authentication_failure"),
    (REFUSED_AFTER_3DS, "approve", "generic_decline"),
]


async def challenged(
    platform: PlatformClient, buyer: Buyer, method: str = CARD_WITH_3DS, *, key: str
) -> tuple[str, str]:
    """A booking with required action, and the address of the bank's page."""
    booking = await buyer.held(*await any_seat(platform))
    answer = await buyer.pay(booking, method, key=key)
    assert (answer.status_code, answer.json()["status"]) == (202, "action_required"), answer.text
    return booking, str(answer.json()["next_action"]["url"])


async def live_intents(platform: PlatformClient, booking: str) -> int:
    return len(
        [each for each in await platform.provider.intents(booking) if each["state"] not in ("voided", "captured")]
    )


async def test_the_buyers_return_completes_the_payment_without_a_webhook(platform: PlatformClient) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking, url = await challenged(platform, buyer, key=key)
    await platform.provider.send(booking, drop=1)
    await eventually(lambda: platform.provider.calls(booking, "retrieve"))  # now the saga waits for four seconds

    back = await platform.http.post(url, data={"outcome": "approve"}, follow_redirects=False)
    page = await platform.http.get(back.headers["location"])

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert booking not in page.text
    await buyer.ends_as(booking, "confirmed")
    signals = [e async for e in platform.saga(booking).fetch_history_events() if e.event_type == 26]
    assert len(signals) == 1
    assert (await buyer.pay(booking, CARD_WITH_3DS, key=key)).status_code == 200


async def signals_of(platform: PlatformClient, booking: str) -> int:
    return len([e async for e in platform.saga(booking).fetch_history_events() if e.event_type == 26])


async def test_however_often_buyers_return_the_provider_is_asked_once_a_pause(platform: PlatformClient) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking, url = await challenged(platform, buyer, key=key)
    await platform.provider.send(booking, drop=1)
    path = f"/v1/bookings/{booking}/payment/return"

    before, began = len(await platform.provider.calls(booking, "retrieve")), monotonic()
    answers = await asyncio.gather(
        *(platform.http.request(method, path) for method in ("GET", "POST") for _ in range(30))
    )
    assert {answer.status_code for answer in answers} == {200}
    passed = await signals_of(platform, booking)
    pauses = 1 + ceil((monotonic() - began) / PAUSE.total_seconds())
    assert 1 <= passed <= pauses
    assert len(await platform.provider.calls(booking, "retrieve")) <= before + pauses + 4, "the saga's own included"

    await platform.provider.act(url, "approve")  # the return that counts comes within the pause of the others
    await platform.http.get(path)
    await buyer.ends_as(booking, "confirmed")
    pauses = 1 + ceil((monotonic() - began) / PAUSE.total_seconds())
    assert await signals_of(platform, booking) <= pauses


async def test_a_return_to_an_unknown_booking_is_refused(platform: PlatformClient) -> None:
    answer = await platform.http.get(f"/v1/bookings/{uuid4()}/payment/return")
    assert answer.status_code == 404


@pytest.mark.parametrize(("method", "choice", "code"), sample(IN_VAIN, 1, of="3-D Secure in vain"))
async def test_a_repeated_call_after_failed_three_d_secure_returns_the_same_code(
    platform: PlatformClient, method: str, choice: str, code: str
) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking, url = await challenged(platform, buyer, method, key=key)
    await platform.provider.act(url, choice)
    await buyer.ends_as(booking, "held")

    for _ in range(2):
        told = await with_reason(lambda: buyer.pay(booking, method, key=key))
        assert (told.status_code, told.json()["code"], told.json()["booking_status"]) == (402, code, "held"), told.text

    assert (await buyer.pay(booking, CARD)).status_code == 200
    told = await buyer.pay(booking, method, key=key)
    assert told.status_code in (200, 402)  # the booking is paid, by another order


async def test_a_buyer_abandons_the_bank_and_pays_with_another_card(platform: PlatformClient) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking, url = await challenged(platform, buyer, key=key)
    assert (await buyer.pay(booking, CARD)).status_code == 409

    answer = await buyer.abandon(booking)

    assert (answer.status_code, answer.json()["status"]) == (200, "held"), answer.text
    assert await live_intents(platform, booking) == 0
    assert (await buyer.abandon(booking)).json()["status"] == "held"
    told = await with_reason(lambda: buyer.pay(booking, CARD_WITH_3DS, key=key))
    assert (told.status_code, told.json()["detail"][:25]) == (409, "The payment was abandoned")
    assert (await buyer.pay(booking, CARD)).json()["status"] == "confirmed"
    await platform.provider.act(url, "approve")
    assert await platform.provider.kept(booking) == 5000
    assert (await buyer.abandon(booking)).json()["type"].endswith("/refund-required")


async def test_fifteen_clicks_on_abandon_are_one_and_spare_the_next_payment(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking, _ = await challenged(platform, buyer, key=str(uuid4()))
    answers = await asyncio.gather(*(buyer.abandon(booking) for _ in range(15)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "held")}

    again = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.act(again.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")
    assert await platform.provider.kept(booking) == 5000


async def test_abandoning_during_the_banks_approval_ends_in_exactly_one_outcome(
    platform: PlatformClient,
) -> None:
    buyer = platform.new_buyer()
    booking, url = await challenged(platform, buyer, key=str(uuid4()))
    _, answer = await asyncio.gather(platform.provider.act(url, "approve"), buyer.abandon(booking))
    if answer.status_code == 200:
        assert await platform.provider.kept(booking) == 0
        assert (await buyer.pay(booking)).status_code == 200
    await buyer.ends_as(booking, "confirmed")
    assert await platform.provider.kept(booking) == 5000


async def test_another_persons_payment_cannot_be_abandoned(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking, _ = await challenged(platform, buyer, key=str(uuid4()))
    assert (await platform.new_buyer().abandon(booking)).status_code == 404
    assert await buyer.status(booking) == "action_required"
    await buyer.cancel(booking)


@pytest.mark.parametrize("fault", sample(["500_before", "timeout_after", "reset_before"], 1, of="faults of a void"))
async def test_an_abandoned_payment_is_voided_despite_provider_faults(platform: PlatformClient, fault: str) -> None:
    buyer = platform.new_buyer()
    booking, _ = await challenged(platform, buyer, key=str(uuid4()))
    await platform.provider.will(fault, "cancel", booking)

    async def is_held() -> bool:
        return (await buyer.abandon(booking)).status_code == 200

    await eventually(is_held)
    assert await live_intents(platform, booking) == 0


async def test_the_provider_is_queried_once_more_before_a_payment_times_out(platform: PlatformClient) -> None:
    """Without webhook and browser only the query at the end of the window finds it."""
    buyer = platform.new_buyer()

    async def approved_after_the_last_poll() -> str | None:
        """Or None where the window, on a busy machine, closed first."""
        booking, url = await challenged(platform, buyer, key=str(uuid4()))
        await platform.provider.send(booking, drop=1)

        async def has_been_asked_three_times() -> bool:  # after 2, 6 and 14 seconds; the window closes after 20
            return len(await platform.provider.calls(booking, "retrieve")) >= 3

        await eventually(has_been_asked_three_times, within=40)
        await platform.provider.act(url, "approve")
        return booking if await buyer.status(booking) == "action_required" else None

    booking = await eventually(approved_after_the_last_poll)
    await buyer.ends_as(booking, "confirmed")


async def test_a_payment_whose_money_began_to_go_back_is_undone_and_needs_no_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking, url = await challenged(platform, buyer, key=key)
    held = await buyer.booking(booking)
    # A task that returns the money does this first. If its worker dies then, the next run of the task goes forward.
    assert rows(settings, FORBID_TICKETS, booking, of="reservation")

    await platform.provider.act(url, "approve")

    await buyer.ends_as(booking, "failed")
    assert await platform.provider.kept(booking) == 0
    assert not await platform.provider.calls(booking, "capture")
    assert await platform.seat(held["event_id"], held["seats"][0]) == "available"


async def test_a_capture_that_meets_money_on_its_way_back_is_refunded_without_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    (event, seat), buyer = await any_seat(platform), platform.new_buyer()
    booking = await buyer.held(event, seat)
    await platform.provider.will("429", "capture", booking, retry_after=5)
    paying = asyncio.create_task(buyer.pay(booking))
    await eventually(lambda: platform.provider.calls(booking, "capture"), every=0.02)
    assert rows(settings, FORBID_TICKETS, booking, of="reservation")  # as a worker left behind does

    answer = await paying

    assert (answer.status_code, answer.json()["type"].rsplit("/", 1)[-1]) == (409, "booking-failed"), answer.text
    await buyer.ends_as(booking, "failed")
    assert await platform.provider.kept(booking) == 0
    assert await platform.seat(event, seat) == "available"
