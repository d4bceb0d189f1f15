"""What consumers have made of messages can be made again from the logs, however long ago Kafka deleted the messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from adapters.elasticsearch import EventSearch
from adapters.kafka.cloud_events import CloudEvent
from cli import rebuild
from cli.rebuild import index_again, rebuild_app, recount
from db import outbox
from domain.domain_events import (
    BookingPartiallyRefunded,
    BookingRefunded,
    BookingRefundTakenBack,
    DomainEvent,
    EventCancelled,
)
from domain.search import SearchQuery
from tests.command_line import seatwright
from tests.waiting import eventually, in_time
from tests.workers.outside import a_confirmed_booking, a_published_event
from tests.workers.test_analytics import a_refund, delivered, rows
from workers.consumers.analytics import Analytics

FIGURES = {
    "sales": "SELECT event_id, currency, bookings, tickets, revenue FROM sales ORDER BY 1, 2",
    "daily_sales": "SELECT event_id, currency, day, bookings, tickets, revenue FROM daily_sales ORDER BY 1, 2, 3",
    "daily_refunds": "SELECT event_id, currency, day, refunds, tickets, amount FROM daily_refunds ORDER BY 1, 2, 3",
    "inbox": "SELECT consumer, domain_event_id FROM inbox ORDER BY 2",
}


@pytest.fixture
async def log(outbox_url: str) -> AsyncIterator[AsyncEngine]:
    """A database with an empty log of domain events, on which a statement may wait for a lock for long."""
    engine = create_async_engine(outbox_url)
    yield engine
    await engine.dispose()


async def logged(log: AsyncEngine, *happened: DomainEvent) -> None:
    """Domain events of one aggregate, in order."""
    aggregate = uuid4()
    async with log.begin() as connection:
        for event in happened:
            await outbox.append(connection, aggregate, event)


async def figures(analytics: AsyncEngine) -> Mapping[str, list[tuple[object, ...]]]:
    return {table: await rows(analytics, query) for table, query in FIGURES.items()}


async def consumed(log: AsyncEngine, analytics: AsyncEngine) -> None:
    """The consumer gets all messages, once more if it has had them."""
    async for page in rebuild._logged(log, [DomainEvent]):
        for event in page:
            await Analytics(analytics).handle(event)


async def with_sales(log: AsyncEngine) -> None:
    """Bookings that were sold, refunded in part and in full, and one whose refund failed at first."""
    for amount in (12050, 9000):
        kept, partly, failed = (a_confirmed_booking(amount=amount, event_id=uuid4()) for _ in range(3))
        gone = a_refund(BookingRefunded, failed, amount=amount)
        back = gone.model_dump(exclude={"type", "event_name"})
        returned = BookingRefundTakenBack(**back, returned_at=datetime.now(UTC), was_refunded=True)
        await logged(log, kept)
        await logged(log, partly, a_refund(BookingPartiallyRefunded, partly, amount=6000))
        await logged(log, failed, gone, returned, gone)


@pytest.mark.parametrize("lost", ["DELETE FROM {}", "UPDATE {} SET tickets = tickets + 1"])
async def test_sales_are_counted_again_as_the_consumer_has_counted_them(
    log: AsyncEngine, analytics: AsyncEngine, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    monkeypatch.setattr(rebuild, "_PAGE", 2)
    await with_sales(log)
    await consumed(log, analytics)
    right = await figures(analytics)
    assert len(right["sales"]) == 6
    async with analytics.begin() as connection:
        for table in ("sales", "daily_sales", "daily_refunds"):
            await connection.exec_driver_sql(lost.format(table))
        if lost.startswith("DELETE"):
            await connection.exec_driver_sql("DELETE FROM inbox")
    for _ in range(2):
        assert await recount(log, analytics) == 14
        assert await figures(analytics) == right
    await consumed(log, analytics)
    assert await figures(analytics) == right


async def test_a_sale_during_the_recount_is_counted_once_and_readers_see_the_old_figures(
    log: AsyncEngine, analytics: AsyncEngine, outbox_url: str
) -> None:
    await logged(log, a_confirmed_booking())
    await consumed(log, analytics)
    before = await figures(analytics)
    plain = make_url(outbox_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain) as blocker:
        blocker.execute("LOCK TABLE domain_events")  # so the recount has begun, and reads nothing yet
        counting = asyncio.create_task(recount(log, analytics))
        await eventually(lambda: waits(analytics, "sales", granted=True))
        consuming = asyncio.create_task(handled(analytics, delivered(a_confirmed_booking())))
        await eventually(lambda: waits(analytics, "inbox", granted=False))
        assert await figures(analytics) == before
    await in_time(counting)
    await in_time(consuming)
    after = await figures(analytics)
    assert (len(after["sales"]), len(after["inbox"])) == (2, 2)
    assert before["sales"][0] in after["sales"]


async def handled(analytics: AsyncEngine, event: CloudEvent) -> None:
    """As the runner does: a lock that comes too late is a failure that passes."""
    while True:
        with suppress(OperationalError):
            return await Analytics(analytics).handle(event)


async def waits(engine: AsyncEngine, table: str, *, granted: bool) -> bool:
    query = f"SELECT FROM pg_locks WHERE relation = '{table}'::regclass AND granted = {granted} AND mode ~ 'Excl'"
    return bool(await rows(engine, query))


async def test_a_lost_search_index_is_filled_again_and_keeps_what_is_newer(
    log: AsyncEngine, events: EventSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rebuild, "_PAGE", 2)
    shown, renamed, hidden = (a_published_event(name=name) for name in ("Shown", "Old name", "Hidden"))
    await logged(log, shown)
    await logged(log, renamed)
    await logged(log, hidden, EventCancelled(event_id=hidden.event_id, version=2))
    await events._client.indices.delete(index=events.index)  # and its alias with it
    assert await index_again(log, events) == 4
    await events.put(renamed.model_copy(update={"name": "New name", "version": 2}))
    assert await index_again(log, events) == 4
    await events._client.indices.refresh(index=events._alias)
    assert {hit.name for hit in (await events.search(SearchQuery())).hits} == {"Shown", "New name"}
    indexed = {each.event_id: (each.version, each.status) async for each in events.documents(None)}
    assert indexed[str(hidden.event_id)] == (2, "cancelled")
    assert len(indexed) == 3


async def test_the_commands_rebuild_and_are_in_the_audit_log(stack_env: dict[str, str]) -> None:
    dsn = stack_env["SEATWRIGHT_POSTGRES_ADMIN_DSN"]
    with psycopg.connect(dsn, dbname="seatwright_identity") as identity:
        for command, done, note in (
            ("sales", "domain events counted", ("sales.rebuilt", "service/analytics")),
            ("search", "domain events indexed", ("search.rebuilt", "service/search")),
        ):
            [(before,)] = identity.execute("SELECT coalesce(max(number), 0) FROM audit_log").fetchall()
            assert done in await seatwright(rebuild_app, stack_env, command)
            noted = identity.execute("SELECT action, object FROM audit_log WHERE number > %s", [before]).fetchall()
            identity.rollback()
            assert note in noted


async def test_without_the_search_index_its_rebuilding_fails_with_a_reason(stack_env: dict[str, str]) -> None:
    nowhere = stack_env | {"SEATWRIGHT_ELASTICSEARCH_URL": "http://127.0.0.1:9"}
    printed = await seatwright(rebuild_app, nowhere, "search", exit_code=2)
    assert "not rebuilt: Search is not available right now. Repeat the command." in printed
