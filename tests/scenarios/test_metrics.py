"""What a sale does shows in the metrics of the processes that do it."""

from __future__ import annotations

from stack import Stack
from tests.buyer import DECLINED_CARD
from tests.metrics import value
from tests.platform_client import PlatformClient
from tests.scenarios.test_refunds import needs_attention
from tests.waiting import eventually

Sample = tuple[str, str, tuple[tuple[str, str], ...]]


def sample(process: str, name: str, **labels: str) -> Sample:
    return process, name, tuple(labels.items())


async def read(stack: Stack, samples: list[Sample]) -> list[float]:
    return [await value(stack, process, name, **dict(labels)) for process, name, labels in samples]


async def grow(stack: Stack, samples: list[Sample], before: list[float]) -> None:
    async def all_have_grown() -> bool:
        now = await read(stack, samples)
        left = [each for each, old, new in zip(samples, before, now, strict=True) if new <= old]
        assert not left, left
        return True

    await eventually(all_have_grown)


async def test_a_sale_shows_in_the_metrics_of_every_process_that_takes_part(
    platform: PlatformClient, stack: Stack
) -> None:
    of_a_sale = [
        sample("api", "seatwright_http_request_seconds_count", method="POST", route="/v1/bookings", status="201"),
        sample("api", "seatwright_http_request_seconds_count", method="POST", route="/v1/bookings", status="409"),
        sample("api", "seatwright_sql_statement_seconds_count", database="reservation"),
        sample("work", "seatwright_sql_statement_seconds_count", database="payment"),
        sample("work", "seatwright_provider_call_seconds_count", provider="stripe", call="capture", outcome="answered"),
        sample("work", "seatwright_provider_call_seconds_count", call="confirm", outcome="PaymentDeclined"),
        sample("sagas", "seatwright_bookings_total", outcome="confirmed", workflow_type="Booking"),
        sample("sagas", "seatwright_bookings_total", outcome="cancelled"),
        sample("sagas", "seatwright_seats_total", outcome="confirmed"),
        sample("sagas", "seatwright_seats_total", outcome="held"),
        sample("sagas", "seatwright_confirmation_seconds_count", buyer_acted="no"),
        sample("sagas", "temporal_workflow_endtoend_latency_count", workflow_type="Booking"),
        sample("api", "seatwright_redis_call_seconds_count", outcome="answered"),
        sample("work", "seatwright_redis_call_seconds_count", outcome="answered"),
        sample("relay", "seatwright_outbox_published_total", service="reservation"),
        sample("relay", "seatwright_outbox_delay_seconds_count", service="reservation"),
        sample("consume", "seatwright_consumer_delay_seconds_count", consumer="notification"),
        sample("consume", "seatwright_consumer_handled_total", consumer="analytics"),
    ]
    before = await read(stack, of_a_sale)
    event, buyer = await platform.event(), platform.new_buyer()
    await buyer.bought(event, "A-1-1")
    assert (await buyer.hold(event, "A-1-1")).status_code == 409
    booking = await buyer.held(event, "A-1-2")
    assert (await buyer.pay(booking, DECLINED_CARD)).status_code == 402
    assert (await buyer.cancel(booking)).status_code == 200
    await grow(stack, of_a_sale, before)


async def test_undone_steps_and_waiting_sagas_are_counted_by_their_step(platform: PlatformClient, stack: Stack) -> None:
    counted = [
        sample("sagas", "seatwright_compensations_total", step="authorize"),
        sample("sagas", "seatwright_attention_total", step="return money"),
    ]
    before = await read(stack, counted)
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    await platform.provider.will("decline", "refund", booking["id"], times=1000)
    assert (await buyer.refund(booking["id"])).status_code == 202
    failing = await buyer.held(event, "A-1-2")
    await platform.provider.will("decline", "capture", failing)
    assert (await buyer.pay(failing)).status_code in (402, 409)
    await grow(stack, counted, before)
    await eventually(lambda: needs_attention(buyer, booking["id"]), within=60)  # another test's may be what is counted
    await platform.provider.clear_faults(booking["id"])
    await platform.refund_saga((await buyer.refunds(booking["id"]))[0]["id"]).execute_update("operate", "retry")
    await buyer.ends_as(booking["id"], "refunded")


async def test_the_places_that_are_held_now_are_shown(platform: PlatformClient, stack: Stack) -> None:
    event, buyer = await platform.event(rows=10), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")

    async def shown() -> bool:
        return await value(stack, "work", "seatwright_places_held") >= 1

    await eventually(shown, within=60)
    assert (await buyer.cancel(booking)).status_code == 200
