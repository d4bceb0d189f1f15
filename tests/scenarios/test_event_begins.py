"""A hold promises no time after the event begins, and what a buyer began before that is completed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from db.engine import open_engine
from tests.buyer import CARD_WITH_3DS
from tests.platform_client import PlatformClient
from tests.scenarios.test_exchange import bought, refused_as, ticket_of
from tests.waiting import eventually


async def begins(platform: PlatformClient, event: str, *, within: timedelta) -> datetime:
    """Move an event's start in the reservation service's copy; returns the new start."""
    engine = open_engine(platform.settings.database_url("reservation"), pool_size=2, serves_callers=False)
    moved = text("UPDATE events SET starts_at = now() + :within WHERE id = :id RETURNING starts_at")
    async with engine.begin() as connection:
        starts_at: datetime = (await connection.execute(moved, {"within": within, "id": UUID(event)})).scalar_one()
    await engine.dispose()
    return starts_at


@pytest.mark.parametrize(("hold_seconds", "start", "is_cut"), [(600, 8, True), (2, 60, False)])
async def test_a_hold_ends_when_its_event_begins_at_the_latest(
    platform: PlatformClient, hold_seconds: int, start: int, is_cut: bool
) -> None:
    event, buyer = await platform.event(hold_seconds=hold_seconds), platform.new_buyer()
    starts_at = await begins(platform, event, within=timedelta(seconds=start))
    booking = await buyer.held(event, "A-1-1")
    expires_at = datetime.fromisoformat((await buyer.booking(booking))["expires_at"])
    assert (expires_at == starts_at) if is_cut else (expires_at < starts_at)
    await buyer.ends_as(booking, "expired")
    assert await platform.seat(event, "A-1-1") == "available"


async def test_a_payment_begun_before_the_event_is_completed_after_it_has_begun(platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    answer = await buyer.pay(booking, CARD_WITH_3DS)
    await begins(platform, event, within=timedelta(0))
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")
    await buyer.ends_as(booking, "confirmed")
    assert await platform.provider.kept(booking) == 5000
    assert refused_as(await platform.new_buyer().hold(event, "A-1-2")) == (409, "event-not-on-sale")
    await platform.assert_audit_is_clean()


async def test_an_exchange_begun_before_the_event_is_completed_and_no_new_one_begins(platform: PlatformClient) -> None:
    event, buyer, booking = await bought(platform, "B-1-1")
    answer = await buyer.exchange(booking["id"], ticket_of(booking, "B-1-1"), "A-1-1", method=CARD_WITH_3DS)
    assert answer.status_code == 202, answer.text
    await begins(platform, event, within=timedelta(0))
    await platform.provider.act(answer.json()["next_action"]["url"], "approve")

    async def completed() -> bool:
        return [each["state"] for each in await buyer.exchanges(booking["id"])] == ["completed"]

    await eventually(completed, within=30)
    ticket = ticket_of(await buyer.booking(booking["id"]), "A-1-1")
    assert refused_as(await buyer.exchange(booking["id"], ticket, "A-1-2", method=None)) == (409, "event-not-on-sale")
