"""With each guard of a consumer broken, the audit names the booking or event that was missed or counted twice."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from adapters.kafka.client import dead_letters
from db.outbox import append
from domain.domain_events import EventCancelled, EventPublished, SectionOnSale, Venue
from tests.audit.harness import Harness

HEARS, COUNTED = "analytics receives every sale", "sales are counted once"
NOTIFIED, ASIDE = "notification receives every outcome", "no outcome is a dead letter"
SHOWN = "search matches the catalogue"


async def test_a_sale_counted_twice_is_found_when_the_inbox_is_emptied(harness: Harness) -> None:
    await harness.bought("A-1-1")
    told = await harness.relay()
    harness.notify()
    await harness.analyse(told)
    await harness.sql("analytics", "DELETE FROM inbox")
    await harness.analyse(told)
    assert await harness.finds() == {(COUNTED, str(harness.event))}


async def test_a_sale_that_analytics_missed_is_found_when_it_commits_before_its_work(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    await harness.relay()
    harness.notify()
    assert await harness.finds() == {(HEARS, str(booking.id))}


@pytest.mark.thorough  # the next sale was published just now, too
async def test_the_audit_waits_for_a_recent_sale(harness: Harness) -> None:
    await harness.bought("A-1-1")
    told = await harness.relay()
    harness.notify()
    patient = harness._replace(connections=harness.connections._replace(lag=timedelta(minutes=1)))
    waiting = asyncio.create_task(patient.finds())
    await harness.analyse(told)
    assert await waiting == set()


async def test_the_audit_waits_for_an_old_sale_that_was_published_just_now(harness: Harness) -> None:
    await harness.bought("A-1-1")
    patient = harness._replace(connections=harness.connections._replace(lag=timedelta(seconds=20)))
    await harness.sql("reservation", "ALTER TABLE domain_events DISABLE TRIGGER ALL")  # the triggers forbid the change
    await harness.sql("reservation", "UPDATE domain_events SET occurred_at = occurred_at - interval '10 minutes'")
    told = await harness.relay()
    harness.notify()
    waiting = asyncio.create_task(patient.finds())
    found, _ = await asyncio.wait({waiting}, timeout=2)  # more than two looks
    assert not found
    await harness.analyse(told)
    assert await waiting == set()


async def test_an_outcome_that_notification_has_not_handled_is_found(harness: Harness) -> None:
    booking = await harness.cancelled("A-1-1")
    await harness.relay()
    assert await harness.finds() == {(NOTIFIED, str(booking.id))}


async def test_an_outcome_in_the_dead_letters_of_a_consumer_is_found(harness: Harness) -> None:
    booking = await harness.cancelled("A-1-1")
    [*_, told] = await harness.relay()
    harness.notify()
    await harness.publish(told, topic=dead_letters("notification"))
    assert await harness.finds() == {(ASIDE, str(booking.id))}


async def test_a_cancelled_event_that_search_still_shows_on_sale_is_found(harness: Harness) -> None:
    published, search = an_event(harness.event), harness.connections.search
    async with harness.database("catalogue").begin() as connection:
        await append(connection, harness.event, published)
        await append(connection, harness.event, EventCancelled(event_id=harness.event, version=3))
    await harness.sql("catalogue", "DELETE FROM outbox")
    await search.put(published)
    await search.mark_cancelled(harness.event, 3)
    await search.put(published)  # late, and refused for its version
    await search._client.indices.refresh(index=search._alias)
    assert await harness.finds() == set()

    # The same, as if the index did not look at versions.
    document = (await search._client.get(index=search._alias, id=str(harness.event)))["_source"]
    unversioned = {"document": document | {"status": "on_sale"}, "refresh": True}
    await search._client.index(index=search._alias, id=str(harness.event), **unversioned)
    assert await harness.finds() == {(SHOWN, str(harness.event))}


def an_event(event: UUID) -> EventPublished:
    return EventPublished(
        event_id=event,
        version=2,
        organizer_id=event,
        name="Hamlet",
        category="theatre",
        venue=Venue(name="Globe", city="London", country="GB", latitude=51.5, longitude=-0.1),
        starts_at=datetime.now(UTC) + timedelta(days=9),
        currency="EUR",
        sections=(SectionOnSale(name="A", kind="seated", price=5000, capacity=10),),
    )
