"""A trace has nothing that identifies a person, however a booking fails."""

from __future__ import annotations

from typing import Any

import pytest

from stack import Stack
from tests.otlp import receiver
from tests.platform_client import PlatformClient
from tests.scenarios.personal_booking import book_with_personal_data
from tests.scenarios.test_trace_shape import DETAILS, Sent, traced_processes
from tests.traces import trace_of
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive  # processes that send their spans take the place of the stack's


async def test_no_span_of_a_booking_that_fails_has_personal_data(platform: PlatformClient, stack: Stack) -> None:
    """As in `test_canary.py`; with all details, and errors of each kind."""
    with receiver() as spans:
        async with traced_processes(stack, Sent(spans, details=1)) as traced:
            booking = await book_with_personal_data(platform, traced.http)
            trace = trace_of(booking.held)
            await eventually(lambda: _errors(spans.of(trace)) >= {"RunActivity:authorize", "stripe confirm"})
            await eventually(lambda: "notification booking.confirmed" in {span.name for span in spans.of(trace)})
        sent = b"".join(spans.bodies)
    assert {span.name for span in spans.of(trace)} >= DETAILS
    assert booking.id.encode() in sent, "the search finds what is there"
    assert booking.mark.encode() not in sent
    assert b"Traceback" not in sent


def _errors(spans: list[Any]) -> set[str]:
    return {span.name for span in spans if span.is_error}
