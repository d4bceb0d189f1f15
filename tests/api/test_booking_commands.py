"""Handing commands to Temporal while it is away."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from uuid import uuid4

import pytest

from api.reservation import booking_saga
from config.settings import Settings
from domain.bookings import BookingRequest
from domain.problems import ProblemType, Refused
from temporal.connection import connect
from tests.network import Network


async def test_a_hold_that_does_not_reach_temporal_is_unknown_and_leaves_no_unread_failure(
    settings: Settings, network: Network
) -> None:
    line = await network.line("temporal")
    client = await connect(settings.model_copy(update={"temporal_address": f"127.0.0.1:{line.port}"}))
    await client.count_workflows()  # connects
    await line.cut()
    request = BookingRequest(
        id=uuid4(), user_id=uuid4(), event_id=uuid4(), seats=("A-1-1",), quantities={}, body_sha256="0", hold_seconds=60
    )
    unseen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: unseen.append(context))

    with pytest.raises(Refused) as refused:
        await booking_saga.hold(client, request, wait=5)

    assert refused.value.problem.type is ProblemType.OUTCOME_UNKNOWN
    refused = None  # type: ignore[assignment]  # with it go the futures, and futures tell when they go
    await asyncio.sleep(0)
    gc.collect()
    loop.set_exception_handler(None)
    assert unseen == []
