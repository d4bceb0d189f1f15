"""A provider's webhooks take effect once, in any order and number; forged ones have no effect."""

from __future__ import annotations

import asyncio
import time
from hashlib import sha256
from typing import Any
from uuid import uuid4

import orjson
import pytest

from config.settings import Settings
from stack import Stack
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.pace import watch
from tests.platform_client import PlatformClient
from tests.provider_settings import webhook_secret
from tests.scale import FULL
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_answers import hanging
from tests.waiting import eventually
from tests.webhooks import kept, message, post, signature

SIGNALED = 26


async def challenged(platform: PlatformClient, buyer: Buyer, *, hold_seconds: int = 120) -> tuple[str, str, str]:
    """A booking with required action, its page and its intent; the provider sends no webhooks."""
    booking = await buyer.held(await platform.event(hold_seconds=hold_seconds), "A-1-1")
    await platform.provider.send(booking, drop=1)
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    assert answer.status_code == 202, answer.text
    [intent] = await platform.provider.intents(booking)
    return booking, str(answer.json()["next_action"]["url"]), str(intent["id"])


async def signals(platform: PlatformClient, booking: str) -> int:
    return len([e async for e in platform.saga(booking).fetch_history_events() if e.event_type == SIGNALED])


async def test_a_webhook_completes_a_payment_that_the_saga_would_have_asked_about_later(
    platform: PlatformClient, settings: Settings
) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    answer = await buyer.pay(booking, CARD_WITH_3DS)

    async def has_asked_twice() -> bool:  # after 2 and 6 seconds; now it waits for eight
        return len(await platform.provider.calls(booking, "retrieve")) >= 2

    await eventually(has_asked_twice, every=0.1)

    await platform.provider.act(answer.json()["next_action"]["url"], "approve")

    await buyer.ends_as(booking, "confirmed")

    async def is_told() -> list[dict[str, Any]]:  # the saga may be quicker than our answer
        told = [each for each in await platform.provider.messages(booking) if each["type"].endswith("_updated")]
        assert [each["status"] for each in told] == [200]
        return told

    [told] = await eventually(is_told)
    assert 1 <= await signals(platform, booking) <= told["tries"]  # it is repeated after a 503 only
    assert kept(settings, told["event_id"]) == [(booking, "saga")]


async def test_a_payment_without_a_challenge_is_not_slowed_down_by_its_webhooks(platform: PlatformClient) -> None:
    booking = (await platform.new_buyer().bought(*await any_seat(platform)))["id"]

    async def all_told() -> bool:
        told = await platform.provider.messages(booking)
        return len(told) == 2 and {each["status"] for each in told} == {200}

    await eventually(all_told)
    assert await signals(platform, booking) == 0


@pytest.mark.parametrize("seed", range(3 if FULL else 1))
async def test_doubled_delayed_and_reordered_webhooks_sell_once(platform: PlatformClient, seed: int) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(*await any_seat(platform))
    await platform.provider.send(booking, double=1, delay_seconds=3, seed=seed)
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")

    await platform.provider.resend(booking)

    async def all_heard() -> bool:
        told = await platform.provider.messages(booking)
        return len(told) == 4 and all(each["due"] is None and each["status"] == 200 for each in told)

    await eventually(all_heard)
    assert await buyer.status(booking) == "confirmed"
    assert await platform.provider.kept(booking) == 5000


async def test_late_webhooks_of_a_voided_payment_change_nothing(platform: PlatformClient, settings: Settings) -> None:
    buyer = platform.new_buyer()
    booking, _, intent = await challenged(platform, buyer)
    await buyer.cancel(booking)
    body = message(intent)

    assert (await post(platform.http, settings, body)).status_code == 200

    late = platform.temporal.get_workflow_handle(f"late-payment-{intent}")
    assert await late.result() is None
    assert await buyer.status(booking) == "cancelled"
    assert kept(settings, orjson.loads(body)["id"]) == [(booking, "late")]


FORGERIES: dict[str, Any] = {
    "no signature": lambda body, key: {},
    "no time": lambda body, key: {"Stripe-Signature": signature(body, key)["Stripe-Signature"].partition(",")[2]},
    "two times": lambda body, key: {"Stripe-Signature": "t=1," + signature(body, key)["Stripe-Signature"]},
    "a time that is none": lambda body, key: {"Stripe-Signature": "t=now,v1=00"},
    "a huge time": lambda body, key: signature(body, key, at=10**15),
    "another secret": lambda body, key: signature(body, key + "x"),
    "another body": lambda body, key: signature(body + b" ", key),
    "another time": lambda body, key: {
        "Stripe-Signature": f"t={int(time.time()) - 1},{signature(body, key)['Stripe-Signature'].partition(',')[2]}"
    },
    "an older scheme": lambda body, key: {
        "Stripe-Signature": signature(body, key)["Stripe-Signature"].replace("v1=", "v0=")
    },
    "letters beyond ASCII": lambda body, key: {"Stripe-Signature": f"t={int(time.time())},v1=é".encode("latin-1")},
    "signed six minutes ago": lambda body, key: signature(body, key, at=time.time() - 360),
    "signed in six minutes": lambda body, key: signature(body, key, at=time.time() + 360),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
async def test_a_message_that_is_not_surely_the_providers_is_refused_and_does_nothing(
    platform: PlatformClient, settings: Settings, forge: Any
) -> None:
    body = message("pi_x")
    answer = await post(platform.http, settings, body, forge(body, webhook_secret(settings)))
    assert (answer.status_code, answer.json()["type"].rsplit("/")[-1]) == (400, "invalid-signature"), answer.text
    assert kept(settings, orjson.loads(body)["id"]) == []


@pytest.mark.parametrize("seconds", [-240, 240])
async def test_a_clock_that_is_some_minutes_off_is_no_forgery(
    platform: PlatformClient, settings: Settings, seconds: int
) -> None:
    body = message("pi_x")
    proof = signature(body, webhook_secret(settings), at=time.time() + seconds)
    assert (await post(platform.http, settings, body, proof)).status_code == 200


UNKNOWN = {
    "an intent of somebody else": message("pi_of_somebody_else"),
    "no intent": orjson.dumps(
        {"id": f"evt_{uuid4()}", "type": "payout.paid", "data": {"object": {"object": "payout", "id": "po_1"}}}
    ),
    "a charge of no intent": orjson.dumps(
        {"id": f"evt_{uuid4()}", "type": "charge.succeeded", "data": {"object": {"object": "charge", "id": "ch_1"}}}
    ),
}


@pytest.mark.parametrize("body", UNKNOWN.values(), ids=UNKNOWN)
async def test_a_webhook_about_an_unknown_object_is_stored_and_ignored(
    platform: PlatformClient, settings: Settings, body: bytes
) -> None:
    for _ in range(2):
        assert (await post(platform.http, settings, body)).status_code == 200
    assert kept(settings, orjson.loads(body)["id"]) == [(None, "ignored")]


ODD: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"{",
    "no object": b"[]",
    "null": b"null",
    "no id": b'{"type": "x"}',
    "an id that is a number": b'{"id": 1, "type": "x"}',
    "data that is a list": b'{"id": "e", "type": "x", "data": []}',
    "no data": orjson.dumps({"id": f"evt_{uuid4()}", "type": "v1.billing.meter.no_meter_found"}),
    "data of null": orjson.dumps({"id": f"evt_{uuid4()}", "type": "payment_intent.succeeded", "data": None}),
    "an object of null": orjson.dumps(
        {"id": f"evt_{uuid4()}", "type": "payment_intent.succeeded", "data": {"object": None}}
    ),
    "an intent that is an object": orjson.dumps(
        {"id": f"evt_{uuid4()}", "type": "charge.refunded", "data": {"object": {"payment_intent": {"id": "pi_1"}}}}
    ),
    "a thin event": orjson.dumps(
        {
            "id": f"evt_{uuid4()}",
            "object": "v2.core.event",
            "type": "v1.billing.meter.error_report_triggered",
            "related_object": {"id": "mtr_1", "type": "billing.meter"},
        }
    ),
    "U+0000 in the id": orjson.dumps({"id": "evt_\0", "type": "x"}),
    "U+0000 in the type": orjson.dumps({"id": f"evt_{uuid4()}", "type": "x\0y"}),
    "U+0000 in the intent": message("pi_\0"),
    "long ids": message("pi_" + "x" * 60_000, type_="y" * 60_000, id="z" * 60_000),
    "200 KiB": message("pi_x", padding="x" * 200_000),
    "deep JSON": b"[" * 100_000,
}


@pytest.mark.parametrize("body", ODD.values(), ids=ODD)
async def test_whatever_stripe_signs_is_stored_and_left_alone(
    platform: PlatformClient, settings: Settings, body: bytes
) -> None:
    for _ in range(2):
        answer = await post(platform.http, settings, body)
        assert (answer.status_code, answer.json()) == (200, {"received": 1}), answer.text
    assert [course for id in ids_of(body) for _, course in kept(settings, id)] == ["ignored"]


def ids_of(body: bytes) -> list[str]:
    """The ids under which a message may be stored: its own, or the digest of that or of the whole."""
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError:
        event = None
    own = event.get("id") if isinstance(event, dict) else None
    named = [own] if isinstance(own, str) and "\0" not in own else []
    return [*named, *(f"sha256:{sha256(each).hexdigest()}" for each in (body, str(own).encode()))]


async def test_a_message_that_is_not_understood_is_stored_once_by_its_digest(
    platform: PlatformClient, settings: Settings
) -> None:
    body = f'["{uuid4()}"]'.encode()
    for _ in range(2):
        assert (await post(platform.http, settings, body)).status_code == 200
    assert kept(settings, f"sha256:{sha256(body).hexdigest()}") == [(None, "ignored")]


async def test_a_body_that_is_too_large_is_refused(platform: PlatformClient, settings: Settings) -> None:
    assert (await post(platform.http, settings, message("pi_x", padding="x" * 70_000))).status_code == 200
    assert (await post(platform.http, settings, message("pi_x", padding="x" * 600_000))).status_code == 413


async def test_an_unknown_provider_is_not_found(platform: PlatformClient) -> None:
    assert (await platform.http.post("/v1/webhooks/nobody", content=b"{}")).status_code == 404


async def test_the_same_message_twenty_times_at_once_is_kept_once_and_sells_once(
    platform: PlatformClient, settings: Settings
) -> None:
    buyer = platform.new_buyer()
    booking, url, intent = await challenged(platform, buyer)
    await platform.provider.act(url, "approve")
    body = message(intent)
    answers = await asyncio.gather(*(post(platform.http, settings, body) for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    await buyer.ends_as(booking, "confirmed")
    assert len(kept(settings, orjson.loads(body)["id"])) == 1
    assert await platform.provider.kept(booking) == 5000


@pytest.mark.thorough  # the table of tests/providers loses all webhooks at each provider
async def test_a_lost_webhook_only_costs_time(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking, url, _ = await challenged(platform, buyer)
    await platform.provider.act(url, "approve")
    await buyer.ends_as(booking, "confirmed")
    assert await signals(platform, booking) == 0


@pytest.mark.disruptive
async def test_messages_signed_with_the_old_or_the_new_secret_are_accepted(
    platform: PlatformClient, settings: Settings, stack: Stack
) -> None:
    both = {"SEATWRIGHT_STRIPE_WEBHOOK_SECRETS": "whsec_new,whsec_old"}
    other = await asyncio.to_thread(stack.spawn, "api-rotating", "api", env=both)
    try:
        url = f"http://127.0.0.1:{other.ports['api']}/v1/webhooks/stripe"
        for proof, status in {("whsec_new",): 200, ("whsec_old",): 200, ("whsec_x", "whsec_old"): 200,
                              ("whsec_x",): 400, ("whsec_new,whsec_old",): 400}.items():  # fmt: skip
            body = message("pi_x")
            assert (await platform.http.post(url, content=body, headers=signature(body, *proof))).status_code == status
    finally:
        await asyncio.to_thread(stack.stop, "api-rotating")


@pytest.mark.disruptive
async def test_while_postgres_hangs_a_webhook_fails_within_two_seconds_and_is_repeated(
    platform: PlatformClient, settings: Settings, stack: Stack
) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(await platform.event(), "A-1-1")
    first = await buyer.pay(booking, CARD_WITH_3DS)
    with hanging(stack, "postgres"):
        with watch() as taken:
            answer = await post(platform.hasty, settings, message("pi_x"))
        assert answer.status_code == 503
        assert taken.seconds < taken.allows(2)
        await platform.provider.act(first.json()["next_action"]["url"], "approve")

        async def was_refused() -> bool:
            return any(each["tries"] for each in await platform.provider.messages(booking))

        await eventually(was_refused)
    await buyer.ends_as(booking, "confirmed")

    async def was_heard() -> bool:
        return all(each["status"] == 200 for each in await platform.provider.messages(booking))

    await eventually(was_heard)


@pytest.mark.disruptive
async def test_a_message_that_was_kept_but_not_handed_on_is_handed_on_when_it_is_repeated(
    platform: PlatformClient, settings: Settings, stack: Stack
) -> None:
    """The API dies, or Temporal is down, between storing the message and notifying the saga."""
    buyer = platform.new_buyer()
    booking, url, intent = await challenged(platform, buyer)
    body = message(intent)
    await eventually(lambda: platform.provider.calls(booking, "retrieve"))  # the next time is 4 s later
    await asyncio.to_thread(stack.kill, "temporal")
    try:
        await platform.provider.act(url, "approve")  # only now: the saga itself would find it
        answer = await post(platform.hasty, settings, body)
        assert answer.status_code == 503, answer.text
        assert kept(settings, orjson.loads(body)["id"]) == [(booking, "saga")]
    finally:
        await asyncio.to_thread(stack.start, "temporal")

    async def is_taken() -> bool:
        return (await post(platform.http, settings, body)).status_code == 200

    await eventually(is_taken)
    await buyer.ends_as(booking, "confirmed")
    assert len(kept(settings, orjson.loads(body)["id"])) == 1
