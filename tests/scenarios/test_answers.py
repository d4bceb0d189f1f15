"""A repeated call returns the current state, and returns in time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2
import psycopg
import pytest
from sqlalchemy import make_url

from config.settings import Settings
from stack import Stack
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.freezing import freeze, thaw
from tests.http_client import http_client, unless_unavailable
from tests.pace import watch
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.waiting import RECOVERY, eventually, in_time


def problem(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, str(answer.json()["type"]).rsplit("/")[-1]


async def parked(platform: PlatformClient, buyer: Buyer, key: str) -> str:
    """A booking whose saga waits for an operator, since the money cannot be returned."""
    event = await platform.event()
    booking = await buyer.held(event, "A-1-1")
    await platform.call_off(event)
    await platform.provider.will("500_before", "cancel", booking, times=1000)
    answer = await unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key))
    assert problem(answer) == (503, "outcome-unknown"), answer.text
    assert answer.json()["booking_id"] == booking
    await buyer.ends_as(booking, "needs_attention")
    return booking


async def test_an_unknown_outcome_is_returned_as_soon_as_it_is_known(platform: PlatformClient) -> None:
    buyer, key = platform.new_buyer(), str(uuid4())
    booking = await parked(platform, buyer, key)

    still = await unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key))
    assert problem(still) == (503, "outcome-unknown")
    assert still.json()["booking_id"] == booking
    assert "Retry-After" in still.headers

    await platform.provider.clear_faults(booking)
    await platform.saga(booking).execute_update("operate", "retry")
    await buyer.ends_as(booking, "failed")
    final = await buyer.pay(booking, key=key)
    assert problem(final) == (409, "booking-failed")
    assert final.json()["booking_status"] == "failed"
    assert "Retry-After" not in final.headers


@pytest.mark.thorough
async def test_a_cancel_of_a_booking_that_waits_for_an_operator_says_so(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await parked(platform, buyer, str(uuid4()))

    answer = await buyer.cancel(booking)

    assert problem(answer) == (409, "wrong-state")
    assert answer.json()["booking_status"] == "needs_attention"
    await platform.provider.clear_faults(booking)
    await platform.saga(booking).execute_update("operate", "retry")
    await buyer.ends_as(booking, "failed")


async def test_a_stuck_cancel_is_answered_as_soon_as_it_completes(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    assert (await buyer.pay(booking, CARD_WITH_3DS)).status_code == 202
    await platform.provider.will("500_before", "cancel", booking, times=1000)

    stuck = await unless_unavailable(lambda: buyer.at(platform.hasty).cancel(booking))
    assert stuck.status_code in (409, 503), stuck.text
    assert stuck.json()["booking_id"] == booking
    await buyer.ends_as(booking, "needs_attention")
    again = await buyer.cancel(booking)
    assert (problem(again), again.json()["booking_status"]) == ((409, "wrong-state"), "needs_attention")

    await platform.provider.clear_faults(booking)
    await platform.saga(booking).execute_update("operate", "retry")
    await buyer.ends_as(booking, "cancelled")
    assert (await buyer.cancel(booking)).status_code == 200


async def test_a_buyer_is_redirected_to_the_provider_only_while_action_is_required(platform: PlatformClient) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    first = await buyer.pay(booking, CARD_WITH_3DS, key=key)
    assert first.status_code == 202
    assert (await buyer.pay(booking, CARD_WITH_3DS, key=key)).json()["next_action"] == first.json()["next_action"]

    await platform.provider.act(first.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")

    after = await buyer.pay(booking, CARD_WITH_3DS, key=key)
    assert (after.status_code, after.json()["status"]) == (200, "confirmed")
    assert after.json()["next_action"] is None


async def test_an_unauthenticated_payment_must_be_repeated_and_gets_no_other_payments_url(
    platform: PlatformClient,
) -> None:
    event, buyer, key, other = await platform.event(), platform.new_buyer(), str(uuid4()), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    first = await buyer.pay(booking, CARD_WITH_3DS, key=key)
    await platform.provider.act(first.json()["next_action"]["url"], "fail")
    await buyer.ends_as(booking, "held")

    assert problem(await buyer.pay(booking, CARD_WITH_3DS, key=key)) == (402, "payment-declined")
    second = await buyer.pay(booking, CARD_WITH_3DS, key=other)
    assert second.status_code == 202
    assert second.json()["next_action"] != first.json()["next_action"]
    assert problem(await buyer.pay(booking, CARD_WITH_3DS, key=key)) == (402, "payment-declined")
    assert (await buyer.pay(booking, CARD_WITH_3DS, key=other)).json()["next_action"] == second.json()["next_action"]

    await buyer.cancel(booking)
    for each, why in {key: (402, "payment-declined"), other: (409, "payment-too-late")}.items():
        over = await buyer.pay(booking, CARD_WITH_3DS, key=each)
        assert (problem(over), over.json()["booking_status"]) == (why, "cancelled")


async def test_fifteen_clicks_on_cancel_at_once_are_one_cancellation(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    answers = await asyncio.gather(*(buyer.cancel(booking) for _ in range(15)))
    assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(200, "cancelled")}


@pytest.mark.parametrize("is_called_off", [False, True], ids=["on sale", "called off"])
async def test_the_key_of_a_booking_whose_saga_is_gone_revives_it(
    platform: PlatformClient, settings: Settings, is_called_off: bool
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    first = await buyer.hold(event, "A-1-1", key=key, quantities={"Standing": 2})
    booking = first.json()["id"]
    await platform.saga(booking).terminate()
    if is_called_off:
        await platform.call_off(event)
    with hold_ended(settings, booking, seconds_ago=45):
        now = await buyer.booking(booking)
        expected = first.json() | {each: now[each] for each in ("expires_at", "next_action", "event")}

        again = await buyer.hold(event, "A-1-1", key=key, quantities={"Standing": 2})

        assert (again.status_code, again.json()) == (201, expected)

        async def is_over() -> bool:
            return await buyer.status(booking) == "expired"

        await eventually(is_over)
        assert await platform.seat(event, "A-1-1") == "available"
        assert await platform.free_places(event, "Standing") == 100
        assert (await buyer.hold(event, "A-1-1", key=key, quantities={"Standing": 2})).json() == expected


@contextmanager
def hold_ended(settings: Settings, booking: str, *, seconds_ago: int) -> Iterator[None]:
    """Run the body as if the hold had expired this long ago; restore the row afterwards."""
    url = make_url(settings.database_url("reservation")).set(drivername="postgresql")
    move = "UPDATE bookings SET expires_at = expires_at + %s WHERE id = %s"
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        left = "SELECT expires_at - now() + make_interval(secs => %s) FROM bookings WHERE id = %s"
        row = connection.execute(left, [seconds_ago, UUID(booking)]).fetchone()
        assert row is not None
        connection.execute(move, [-row[0], UUID(booking)])
        try:
            yield
        finally:
            connection.execute(move, [row[0], UUID(booking)])


QUANTITIES: dict[str, Any] = {"true": True, "2.0": 2.0, '"2"': "2", "null": None}


async def test_a_quantity_that_is_no_whole_number_is_refused_and_not_guessed_at(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    for name, quantity in QUANTITIES.items():
        answer = await buyer.post("/v1/bookings", {"event_id": event, "quantities": {"Standing": quantity}})
        assert problem(answer) == (422, "invalid-request"), name
        assert answer.json()["errors"][0]["field"] == "body.quantities.Standing", name


async def test_a_card_number_in_disguise_is_refused_and_never_echoed(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    for method in ("pm_4242424242424242", "pm_4242_4242_4242_4242", "x378282246310005y"):
        answer = await buyer.pay(booking, method)
        assert problem(answer) == (422, "invalid-request"), method
        assert answer.json()["errors"][0]["field"] == "body.payment_method", method
        assert method not in answer.text
        assert method.strip("pm_xy") not in answer.text


async def test_every_refusal_returns_the_callers_key(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    key = {"Idempotency-Key": "the-callers-key"}
    json = buyer.headers | key | {"Content-Type": "application/json"}
    http = platform.http
    for status, answer in {
        400: await http.post("/v1/bookings", content=b"{", headers=json),
        401: await http.post("/v1/bookings", json={}, headers=key),
        404: await http.post(f"/v1/bookings/{uuid4()}/payment", json={"provider": "stripe", "payment_method": "pm_x"},
                             headers=json),
        413: await http.post("/v1/bookings", content=b" " * 70_000, headers=json),
        422: await http.post("/v1/bookings", json={"event_id": event}, headers=json),
    }.items():  # fmt: skip
        assert (answer.status_code, answer.headers.get("Idempotency-Key")) == (status, "the-callers-key")


@contextmanager
def hanging(stack: Stack, server: str) -> Iterator[None]:
    """Run the body while the server accepts connections but never responds."""
    leader = stack.pid(server)
    assert leader is not None
    freeze(leader)  # first, so that it makes no child that we do not know
    children = children_of(leader)
    for pid in children:
        freeze(pid)
    try:
        yield
    finally:
        for pid in (*children, leader):
            thaw(pid)


def children_of(parent: int) -> list[int]:
    found = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [int(pid) for pid in found.split()]


@pytest.mark.disruptive
async def test_a_database_that_hangs_is_answered_like_one_that_is_down(platform: PlatformClient, stack: Stack) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking, hasty = await buyer.held(event, "A-1-1"), buyer.at(platform.hasty)
    calls: list[Callable[[], Awaitable[httpx2.Response]]] = [
        lambda: hasty.hold(event, "A-1-2", key=key),
        lambda: hasty.pay(booking),
        lambda: hasty.cancel(booking),
        lambda: hasty.get(f"/v1/bookings/{booking}"),
        lambda: hasty.get("/v1/me/bookings"),
        lambda: hasty.get(f"/v1/events/{event}/seats"),
        lambda: hasty.get(f"/v1/events/{event}"),
    ]
    with hanging(stack, "postgres"):
        for number in range(3):  # at once, and again when their connections still hang
            with watch() as taken:
                answers = await asyncio.gather(*(call() for call in calls * 2))
            for answer in answers:
                assert problem(answer) == (503, "unavailable"), (number, answer.text)
                assert "Retry-After" in answer.headers
            assert taken.seconds < taken.allows(2)

    with watch() as recovery:
        assert (await buyer.hold(event, "A-1-2", key=key)).status_code == 201
        assert (await buyer.pay(booking)).status_code == 200
    assert recovery.seconds < recovery.allows(RECOVERY)


@pytest.mark.disruptive
async def test_a_hold_without_an_answer_from_redis_is_refused_in_time(platform: PlatformClient, stack: Stack) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    hasty = buyer.at(platform.hasty)
    with hanging(stack, "redis"):
        with watch() as taken:
            answers = await asyncio.gather(*(hasty.hold(event, "A-1-1", key=key) for _ in range(120)))
        for answer in answers:
            assert problem(answer) == (503, "unavailable"), answer.text
        assert taken.seconds < taken.allows(5)  # 120 at once; the promise is for the server's part
        with watch() as taken:
            answer = await hasty.hold(event, "A-1-1", key=key)
        assert answer.status_code == 503
        assert taken.seconds < taken.allows(2)

    with watch() as recovery:
        assert (await buyer.hold(event, "A-1-1", key=key)).status_code == 201
    assert recovery.seconds < recovery.allows(RECOVERY)


SIGNALS = ["news", "a cancellation from Temporal's UI"]


@pytest.mark.parametrize("what", sample(SIGNALS, 1, of="signals as the saga ends"))
async def test_a_buyer_gets_the_tickets_when_a_signal_arrives_as_the_saga_ends(
    what: str, platform: PlatformClient
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    await platform.provider.will("slow", "capture", booking, delay_seconds=1.5)
    # An outcome that is unknown would be the fault which is tested.
    payment = asyncio.create_task(unless_unavailable(lambda: buyer.at(platform.hasty).pay(booking, key=key)))
    await eventually(lambda: platform.provider.calls(booking, "confirm"))

    # The server drops the task that ends the saga, and the answer with it.
    saga = platform.saga(booking)
    await (saga.signal("provider_has_news") if what == "news" else saga.cancel())

    answer = await payment
    assert (answer.status_code, answer.json()["status"]) == (200, "confirmed"), answer.text
    assert len(answer.json()["tickets"]) == 1
    await buyer.ends_as(booking, "confirmed")
    assert await platform.provider.kept(booking) == 5000
    assert len(await platform.provider.calls(booking, "capture")) == 1


@pytest.fixture
async def impatient_api(stack: Stack) -> AsyncIterator[httpx2.AsyncClient]:
    """An API process that waits until the authorization is done, but not until the capture is."""
    name = f"api-{uuid4().hex[:8]}"
    spawned = await asyncio.to_thread(stack.spawn, name, "api", env={"SEATWRIGHT_PAYMENT_WAIT": "2.5"})
    async with http_client(f"http://127.0.0.1:{spawned.ports['api']}") as http:
        yield http
    await asyncio.to_thread(stack.stop, name)


@pytest.mark.thorough
async def test_a_saga_with_a_lost_answer_completes_and_its_key_gets_the_tickets(
    platform: PlatformClient, impatient_api: httpx2.AsyncClient
) -> None:
    event, buyer, key = await platform.event(hold_seconds=600), platform.new_buyer(), str(uuid4())
    booking = await buyer.held(event, "A-1-1")
    for operation in ("confirm", "capture"):
        await platform.provider.will("slow", operation, booking, delay_seconds=1.7)

    unknown = await buyer.at(impatient_api).pay(booking, key=key)
    assert problem(unknown) == (503, "outcome-unknown")
    await eventually(lambda: platform.provider.in_flight(booking, "capture"))
    await platform.saga(booking).signal("provider_has_news")  # the server drops the task that ends the saga

    await buyer.ends_as(booking, "confirmed")
    ended = await in_time(platform.saga(booking).result(), within=30)
    assert ended["status"] == "confirmed"
    again = await buyer.pay(booking, key=key)
    assert (again.status_code, len(again.json().get("tickets", ()))) == (200, 1), again.text
    assert await platform.provider.kept(booking) == 5000
    assert len(await platform.provider.calls(booking, "capture")) == 1


async def test_a_happy_booking_ends_with_the_answer_to_its_buyer(platform: PlatformClient) -> None:
    event, events = await platform.event(), []
    for seat in ("A-1-1", "A-1-2", "A-1-3"):  # a task that is late on a busy machine has events of its own
        saga = platform.saga((await platform.new_buyer().bought(event, seat))["id"])
        await saga.result()
        events.append(len((await saga.fetch_history()).events))
    assert min(events) <= 20
