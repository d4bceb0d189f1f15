"""One trace from the buyer's request to the message on Kafka."""

from __future__ import annotations

from uuid import UUID, uuid4

from confluent_kafka import Consumer

from config.settings import Settings
from tests.platform_client import PlatformClient
from tests.waiting import eventually
from tests.workers.outside import headers_of


async def test_the_trace_of_a_request_reaches_the_domain_events_on_kafka(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    trace_id = uuid4().hex
    buyer.headers |= {"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"}
    booking = (await buyer.bought(event, "A-1-1"))["id"]

    consumer = Consumer(
        {"bootstrap.servers": settings.kafka_bootstrap, "group.id": str(uuid4()), "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["reservation.events"])
    seen: dict[str, str] = {}

    def told() -> bool:
        for message in consumer.consume(500, timeout=0.2):
            if message.key() == str(UUID(booking)).encode():
                headers = headers_of(message)
                seen[headers["ce_type"]] = headers.get("traceparent", "")
        return "booking.confirmed" in seen

    await eventually(told, within=30)
    consumer.close()
    assert {name: (value.split("-")[1], value.split("-")[3]) for name, value in seen.items()} == dict.fromkeys(
        ("booking.held", "booking.paying", "booking.confirmed"), (trace_id, "01")
    )
