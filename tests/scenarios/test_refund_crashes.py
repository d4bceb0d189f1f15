"""After a crash between any two steps of a refund the tickets are void and the money returns once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.api.enums.v1 import EventType
from temporalio.service import RPCError

from config.settings import Settings, secret
from db.engine import open_engine
from stack import Stack
from temporal.policies import booking_policy
from tests.buyer import Buyer
from tests.http_client import patient_client
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.test_attention import SLOW, locked_out
from tests.scenarios.test_outages import patient, without
from tests.scenarios.test_refunds import accepted, becomes, needs_attention
from tests.waiting import eventually
from tests.webhooks import rows
from workers.sweepers.workflow_recovery import recover_workflows
from workflows.ids import refund_taken_back_workflow_id

__all__ = ["patient"]

pytestmark = pytest.mark.disruptive

REFUSED_TO_START = EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("reservation"), pool_size=4, serves_callers=False)
    yield opened
    await opened.dispose()


async def a_booking(platform: PlatformClient) -> tuple[str, Buyer, str]:
    event, buyer = await platform.event(), platform.new_buyer()
    return event, buyer, (await buyer.bought(event, "A-1-1"))["id"]


async def is_paid_back_once(platform: PlatformClient, buyer: Buyer, booking: str) -> None:
    await becomes(buyer, booking, "refunded", within=90)
    assert await platform.provider.kept(booking) == 0
    assert [each["status"] for each in await platform.provider.refunds(booking)] == ["succeeded"]


@pytest.mark.parametrize("fault", sample(["slow", "timeout_after"], 1, of="a refund whose worker dies"))
async def test_workers_killed_before_or_after_the_refund_lose_nothing(
    platform: PlatformClient, stack: Stack, fault: str
) -> None:
    _, buyer, booking = await a_booking(platform)
    await platform.provider.will(fault, "refund", booking, delay_seconds=2)
    await accepted(buyer, booking)
    if fault == "timeout_after":
        await eventually(lambda: platform.provider.refunds(booking), every=0.01)
    async with without(stack, "work"):
        pass
    await is_paid_back_once(platform, buyer, booking)


@pytest.mark.thorough
async def test_workers_killed_as_soon_as_the_tickets_are_void(platform: PlatformClient, stack: Stack) -> None:
    event, buyer, booking = await a_booking(platform)
    refund = asyncio.create_task(buyer.refund(booking, key="crash"))

    async def is_void() -> bool:
        return await buyer.status(booking) != "confirmed"

    await eventually(is_void, every=0.002)
    async with without(stack, "work"):
        assert await platform.seat(event, "A-1-1") == "available"
    assert (await refund).status_code == 202
    assert (await buyer.refund(booking, key="crash")).status_code == 202
    await is_paid_back_once(platform, buyer, booking)


async def test_an_outage_of_the_payment_database_after_a_refund_loses_nothing(
    platform: PlatformClient, settings: Settings, patient: str
) -> None:
    _, buyer, booking = await a_booking(platform)
    await platform.provider.will("slow", "refund", booking, delay_seconds=SLOW)
    async with patient_client(patient) as http:
        await accepted(buyer.at(http), booking)
    role, database = sql.Identifier("seatwright_payment"), "seatwright_payment"
    dsn = secret(settings.postgres_admin_dsn)
    async with await psycopg.AsyncConnection.connect(dsn, dbname=database, autocommit=True) as admin:

        async def is_begun() -> bool:
            tries = await admin.execute("SELECT FROM refunds WHERE booking_id = %s", [booking])
            return tries.rowcount == 1

        await eventually(is_begun, every=0.01)
        await admin.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
        try:
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", ["seatwright_payment"]
            )
            await eventually(lambda: platform.provider.refunds(booking))
            assert await buyer.status(booking) == "refunding"
        finally:
            await admin.execute(sql.SQL("ALTER ROLE {} LOGIN").format(role))
    await is_paid_back_once(platform, buyer, booking)


@pytest.mark.thorough
async def test_an_outage_of_the_reservation_database_during_a_refund_needs_an_operator(
    platform: PlatformClient, settings: Settings
) -> None:
    _, buyer, booking = await a_booking(platform)
    await platform.provider.will("slow", "refund", booking, delay_seconds=SLOW)
    refund = await accepted(buyer, booking)
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, refund["id"]), within=60)
    await platform.refund_saga(refund["id"]).execute_update("operate", "retry")
    await is_paid_back_once(platform, buyer, booking)
    assert not await needs_attention(buyer, booking)


async def test_a_refund_with_a_terminated_workflow_is_revived(
    platform: PlatformClient, engine: AsyncEngine, settings: Settings
) -> None:
    _, buyer, booking = await a_booking(platform)
    await platform.provider.will("processing", "refund", booking)
    refund = await accepted(buyer, booking)
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.refund_saga(refund["id"]).terminate("by mistake")
    await platform.provider.decide(pending["id"], "succeeded")

    async def revived() -> bool:
        await recover_workflows(engine, platform.temporal, booking_policy(settings), overdue=timedelta(0))
        return bool((await platform.refund_saga(refund["id"]).describe()).status != 5)  # terminated

    await eventually(revived)
    await is_paid_back_once(platform, buyer, booking)


@pytest.mark.thorough
async def test_a_refund_that_fails_while_its_workflow_ends_is_repeated(platform: PlatformClient, stack: Stack) -> None:
    _, buyer, booking = await a_booking(platform)
    async with without(stack, "redis"):  # which is updated last
        refund = await accepted(buyer, booking)
        await becomes(buyer, booking, "refunded")
        [given] = await platform.provider.refunds(booking)
        await platform.provider.decide(given["id"], "failed")
        await eventually(lambda: finds_it_running(platform, refund["id"]), within=60)
        assert await platform.provider.kept(booking) == 5000
        assert await buyer.status(booking) == "refunding"

    await is_made_again(platform, buyer, booking)


async def test_a_refund_that_fails_before_it_can_be_settled_is_repeated(
    platform: PlatformClient, settings: Settings
) -> None:
    _, buyer, booking = await a_booking(platform)
    await platform.provider.will("slow", "refund", booking, delay_seconds=SLOW)
    refund = (await accepted(buyer, booking))["id"]
    async with locked_out(settings):
        await eventually(lambda: is_parked(platform, refund), within=60)
        [given] = await platform.provider.refunds(booking)
        await platform.provider.decide(given["id"], "failed")
        await eventually(lambda: has_failed(settings, refund), within=60)
    await eventually(lambda: finds_it_running(platform, refund), within=60)
    assert await buyer.status(booking) == "refunding"

    await platform.refund_saga(refund).execute_update("operate", "retry")

    await is_made_again(platform, buyer, booking)


async def is_parked(platform: PlatformClient, refund: str) -> bool:
    found = await platform.refund_saga(refund).describe()
    shown = {pair.key.name: pair.value for pair in found.typed_search_attributes}
    return bool(shown["SeatwrightStatus"] == "needs_attention")


async def has_failed(settings: Settings, refund: str) -> bool:
    return rows(settings, "SELECT state FROM refunds WHERE refund_id = %s", refund) == [("failed",)]


async def finds_it_running(platform: PlatformClient, refund: str) -> bool:
    """Whether the check of a refund that had succeeded could not start it again, because its workflow runs."""
    check = platform.temporal.get_workflow_handle(refund_taken_back_workflow_id(UUID(refund)))
    try:
        return any([each.event_type == REFUSED_TO_START async for each in check.fetch_history_events()])
    except RPCError:
        return False


async def is_made_again(platform: PlatformClient, buyer: Buyer, booking: str) -> None:
    async def is_paid_back() -> bool:
        return await platform.provider.kept(booking) == 0 and await buyer.status(booking) == "refunded"

    await eventually(is_paid_back, within=60)
    assert [each["status"] for each in await platform.provider.refunds(booking)] == ["succeeded", "failed"]


@pytest.mark.thorough
async def test_a_reset_refund_workflow_pays_once(platform: PlatformClient) -> None:
    _, buyer, booking = await a_booking(platform)
    refund = await accepted(buyer, booking)
    await becomes(buyer, booking, "refunded")
    await platform.reset(platform.refund_saga(refund["id"]))
    await platform.refund_saga(refund["id"]).result()
    await is_paid_back_once(platform, buyer, booking)


@pytest.mark.thorough
async def test_a_refund_completes_without_redis_and_frees_the_seat_later(
    platform: PlatformClient, stack: Stack
) -> None:
    event, buyer, booking = await a_booking(platform)
    async with without(stack, "redis"):
        await accepted(buyer, booking)
        await is_paid_back_once(platform, buyer, booking)

    async def bought() -> bool:
        answer = await platform.new_buyer().hold(event, "A-1-1")
        return answer.status_code == 201

    await eventually(bought, within=30)
