"""A buyer may repeat a command as often as they like: an operator's still reaches the saga that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from temporalio.client import WorkflowHandle

from config.settings import Settings
from db.engine import open_engine
from db.reservation.offers import find_sale
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.platform_client import PlatformClient
from tests.scenarios.test_exchange import bought, refused_as, sits, ticket_of
from tests.scenarios.test_exchange_payments import exchange_is, waiting
from tests.waiting import eventually
from workflows.ids import event_cancellation_workflow_id

UNKNOWN = (503, "outcome-unknown")
MOST_UNANSWERED = 10  # updates of one workflow; Temporal refuses any other until one of them is answered


async def updates(saga: WorkflowHandle[Any, Any]) -> int:
    """How many commands a saga has taken."""
    steps = [step async for step in saga.fetch_history_events()]
    return sum(step.HasField("workflow_execution_update_accepted_event_attributes") for step in steps)


async def parked(platform: PlatformClient, buyer: Buyer, booking: dict[str, Any], key: str) -> dict[str, Any]:
    """An exchange that waits for an operator, because its authorization cannot be released. Its buyer gets a 503."""
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS, key=key)
    await platform.provider.will("500_before", "cancel", booking["id"], times=1000)
    told = await buyer.at(platform.hasty).delete(f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}")
    assert refused_as(told) == UNKNOWN

    async def needs_attention() -> bool:
        return bool((await buyer.exchanges(booking["id"]))[0]["needs_attention"])

    await eventually(needs_attention, within=60)
    return exchange


async def test_a_buyer_who_abandons_an_exchange_again_and_again_leaves_it_to_the_operator(
    platform: PlatformClient,
) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await parked(platform, buyer, booking, str(uuid4()))
    saga, path = platform.exchange_saga(exchange["id"]), f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}"
    taken = await updates(saga)

    again = await asyncio.gather(*(buyer.at(platform.hasty).delete(path) for _ in range(MOST_UNANSWERED + 1)))

    assert {refused_as(answer) for answer in again} == {UNKNOWN}
    assert await updates(saga) == taken
    await platform.provider.clear_faults(booking["id"])
    await saga.execute_update("operate", "retry")
    await exchange_is(buyer, exchange, "failed")
    assert (await buyer.delete(path)).status_code == 200
    await sits(platform, buyer, event, booking, on="B-1-1", not_on="A-1-1")


async def test_a_repeated_request_is_answered_without_an_exchange_that_waits_for_an_operator(
    platform: PlatformClient,
) -> None:
    _, buyer, booking = await bought(platform, "B-1-1")
    key, ticket = str(uuid4()), ticket_of(booking, "B-1-1")
    exchange = await parked(platform, buyer, booking, key)
    taken = await updates(platform.exchange_saga(exchange["id"]))

    told = await buyer.at(platform.hasty).exchange(booking["id"], ticket, "A-1-1", method=CARD_WITH_3DS, key=key)

    assert refused_as(told) == UNKNOWN
    assert await updates(platform.exchange_saga(exchange["id"])) == taken
    await platform.provider.clear_faults(booking["id"])
    await platform.exchange_saga(exchange["id"]).execute_update("operate", "retry")
    await exchange_is(buyer, exchange, "failed")


@asynccontextmanager
async def overdue(settings: Settings, booking: str) -> AsyncIterator[None]:
    """Run the body as if the hold of a booking had ended an hour ago."""
    engine = open_engine(settings.database_url("reservation"), pool_size=2, serves_callers=False)

    async def move_end(sign: str) -> None:
        moved = text(f"UPDATE bookings SET expires_at = expires_at {sign} interval '1 hour' WHERE id = :id")
        async with engine.begin() as connection:
            await connection.execute(moved, {"id": booking})

    await move_end("-")
    yield
    await move_end("+")
    await engine.dispose()


async def test_a_repeated_hold_is_answered_without_a_booking_that_waits_for_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    event, buyer, key = await platform.event(), platform.new_buyer(), str(uuid4())
    held = (await buyer.hold(event, "A-1-1", key=key)).json()
    await platform.call_off(event)
    await platform.provider.will("500_before", "cancel", held["id"], times=1000)
    assert refused_as(await buyer.at(platform.hasty).pay(held["id"])) == UNKNOWN
    await buyer.ends_as(held["id"], "needs_attention")
    taken = await updates(platform.saga(held["id"]))

    async with overdue(settings, held["id"]):
        again = await buyer.hold(event, "A-1-1", key=key)

    assert (again.status_code, again.json()["id"]) == (201, held["id"])
    assert await updates(platform.saga(held["id"])) == taken
    await platform.provider.clear_faults(held["id"])
    await platform.saga(held["id"]).execute_update("operate", "retry")
    await buyer.ends_as(held["id"], "failed")


async def test_an_event_that_is_cancelled_again_and_again_leaves_its_cancellation_to_the_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    event = await platform.event()
    saga = platform.temporal.get_workflow_handle(event_cancellation_workflow_id(UUID(event)))
    async with on_sale_still(settings, event):
        calls = [asyncio.create_task(platform.cancel(event)) for _ in range(MOST_UNANSWERED + 1)]
        await eventually(lambda: is_running(saga))
        await saga.execute_update("pause")
    await asyncio.gather(*calls)
    assert await updates(saga) == 2


@asynccontextmanager
async def on_sale_still(settings: Settings, event: str) -> AsyncIterator[None]:
    """While a sale of the event goes on, its sales cannot be stopped."""
    engine = open_engine(settings.database_url("reservation"))
    try:
        async with engine.begin() as sale:
            await sale.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))  # a machine may be slow
            await find_sale(sale, UUID(event), lock=True)
            yield
    finally:
        await engine.dispose()


async def is_running(saga: WorkflowHandle[Any, Any]) -> bool:
    return await updates(saga) > 0
