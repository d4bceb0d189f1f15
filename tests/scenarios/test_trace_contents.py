"""A trace has nothing that identifies a person, however a booking fails."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from stack import Stack
from tests.api.people import log_in
from tests.buyer import CARD, DECLINED_CARD, Buyer
from tests.otlp import receiver
from tests.platform_client import PlatformClient
from tests.scenarios.test_trace_shape import DETAILS, Sent, Traced, traced_processes
from tests.traces import trace_of
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive  # processes that send their spans take the place of the stack's


async def test_no_span_of_a_booking_that_fails_has_personal_data(platform: PlatformClient, stack: Stack) -> None:
    """As in `test_canary.py`; with all details, and errors of each kind."""
    mark = uuid4().hex.translate(str.maketrans("0123456789", "ghijklmnop"))
    with receiver() as spans:
        async with traced_processes(stack, Sent(spans, details=1)) as traced:
            trace, booking = await _complain(platform, traced, mark)
            await eventually(lambda: _errors(spans.of(trace)) >= {"RunActivity:authorize", "stripe confirm"})
            await eventually(lambda: "notification booking.confirmed" in {span.name for span in spans.of(trace)})
        sent = b"".join(spans.bodies)
    assert {span.name for span in spans.of(trace)} >= DETAILS
    assert booking.encode() in sent, "the search finds what is there"
    assert mark.encode() not in sent
    assert b"Traceback" not in sent


async def _complain(platform: PlatformClient, traced: Traced, mark: str) -> tuple[str, str]:
    """The personal data goes in wherever a buyer can put it."""
    name, email, password = f"Canary {mark}", f"canary-{mark}@example.test", f"canary {mark}"
    for _ in range(2):
        await traced.http.post("/v1/users", json={"email": email, "password": password, "name": name})
    person = await log_in(traced.http, email, password)
    buyer = Buyer(traced.http, UUID(person.id), person.access_token)
    held = await buyer.hold(await platform.event(), "A-1-1", key=email)
    booking = held.json()["id"]
    await traced.http.get("/v1/search", params={"q": email})
    await traced.http.get(f"/v1/bookings/{email}", headers=buyer.headers)
    await buyer.pay(booking, DECLINED_CARD, key=email)
    await buyer.pay(booking, f"pm_{mark}", key=name.replace(" ", "-"))
    await platform.provider.will("500_before", "confirm", booking)
    paid = await buyer.pay(booking, CARD)
    assert paid.status_code == 200, paid.text
    refund = await buyer.refund(booking, reason=f"{name} <{email}> is ill.", key=email)
    assert refund.status_code == 202, refund.text
    return trace_of(held), booking


def _errors(spans: list[Any]) -> set[str]:
    return {span.name for span in spans if span.is_error}
