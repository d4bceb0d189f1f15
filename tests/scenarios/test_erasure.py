"""Erasing a buyer removes all personal data, and keeps tickets and financial records."""

from __future__ import annotations

import httpx2
import psycopg
import pytest

from config.settings import Settings
from domain.identity import Role
from tests.api.conftest import superuser
from tests.platform_client import PlatformClient
from tests.scenarios.test_outcomes import Registered, all_is_told, mailbox, mails_to, register
from tests.waiting import eventually

PASSWORD = "correct horse battery"
__all__ = ["mailbox", "superuser"]  # fixtures


async def test_an_export_has_every_booking_of_its_owner(platform: PlatformClient) -> None:
    person, event = await register(platform), await platform.event()
    await platform.new_buyer().bought(event, "A-1-1")
    held, bought = await person.held(event, "A-1-2"), (await person.bought(event, "A-1-3"))["id"]
    export = (await person.get("/v1/me/export")).json()
    assert [(each["id"], each["status"]) for each in export["bookings"]] == [(bought, "confirmed"), (held, "held")]


@pytest.fixture
async def erased(platform: PlatformClient) -> tuple[Registered, str, str]:
    """An erased buyer with a ticket; the event and the booking."""
    person, event = await register(platform), await platform.event()
    booking = str((await person.bought(event, "A-1-1"))["id"])
    answer = await platform.http.request("DELETE", "/v1/me", json={"password": PASSWORD}, headers=person.headers)
    assert answer.status_code == 204, answer.text
    return person, event, booking


async def test_tickets_and_money_records_of_an_erased_person_stay(
    platform: PlatformClient, erased: tuple[Registered, str, str], superuser: psycopg.Connection
) -> None:
    person, event, booking = erased
    seen = await platform.new_buyer(Role.SUPPORT).booking(booking)
    assert (seen["status"], seen["user_id"], len(seen["tickets"])) == ("confirmed", str(person.user_id), 1)
    assert await platform.sold(event, "A-1-1")
    keys = superuser.execute("SELECT count(*) FROM user_keys WHERE user_id = %s", [person.user_id]).fetchall()
    assert keys == [(0,)]


async def test_an_erased_person_is_refunded_for_a_cancelled_event_without_a_mail(
    platform: PlatformClient, erased: tuple[Registered, str, str], mailbox: httpx2.AsyncClient, settings: Settings
) -> None:
    person, event, booking = erased
    support = platform.new_buyer(Role.SUPPORT)
    before = len(await mails_to(mailbox, person.email))
    await platform.cancel(event)

    async def refunded() -> bool:
        return await support.status(booking) == "refunded"

    await eventually(refunded, within=60)
    await all_is_told(settings, booking, "notification")
    mails = await mails_to(mailbox, person.email)
    assert [mail for mail in mails if "refund" in mail["Subject"].lower()] == []
    assert before <= len(mails) <= 1, "of the time before"
