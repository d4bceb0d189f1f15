"""Sales are counted once, per event and per day."""

from __future__ import annotations

from datetime import UTC, date, datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.kafka.cloud_events import CloudEvent
from domain.bookings import BookingStatus
from domain.domain_events import (
    BookingConfirmed,
    BookingMoneyReturned,
    BookingPartiallyRefunded,
    BookingRefunded,
    BookingRefundTakenBack,
    DomainEvent,
    EventCancelled,
)
from tests.workers.outside import a_confirmed_booking, a_published_event
from workers.consumers.analytics import Analytics


def delivered(event: DomainEvent, *, day: int = 1, id: UUID | None = None) -> CloudEvent:
    return CloudEvent(id or uuid4(), "/seatwright/test", datetime(2030, 1, day, 23, 59, tzinfo=UTC), uuid4(), 1, event)


async def rows(engine: AsyncEngine, query: str) -> list[tuple[object, ...]]:
    async with engine.connect() as connection:
        return [tuple(row) for row in await connection.exec_driver_sql(query)]


async def test_a_redelivered_booking_is_counted_once(analytics: AsyncEngine) -> None:
    once = delivered(a_confirmed_booking())
    for _ in range(3):
        await Analytics(analytics).handle(once)
    assert await rows(analytics, "SELECT bookings, tickets, revenue FROM sales") == [(1, 2, 12050)]
    assert await rows(analytics, "SELECT bookings, tickets, revenue FROM daily_sales") == [(1, 2, 12050)]


async def test_sales_are_counted_separately_for_each_day_and_currency(analytics: AsyncEngine) -> None:
    event = uuid4()
    for day, currency in ((1, "EUR"), (1, "EUR"), (2, "EUR"), (2, "JPY")):
        booking = a_confirmed_booking(event_id=event, currency=currency, amount=100)
        await Analytics(analytics).handle(delivered(booking, day=day))
    totals = "SELECT currency, bookings, tickets, revenue FROM sales ORDER BY currency"
    assert await rows(analytics, totals) == [("EUR", 3, 6, 300), ("JPY", 1, 2, 100)]
    days = "SELECT day, currency, bookings FROM daily_sales ORDER BY day, currency"
    assert await rows(analytics, days) == [
        (date(2030, 1, 1), "EUR", 2),
        (date(2030, 1, 2), "EUR", 1),
        (date(2030, 1, 2), "JPY", 1),
    ]


async def test_an_older_version_changes_no_name_and_revives_no_cancelled_event(analytics: AsyncEngine) -> None:
    event = a_published_event(name="Newest", version=3)
    older = event.model_copy(update={"name": "Older", "version": 2})
    for each in (EventCancelled(event_id=event.event_id, version=4), event, older):
        await Analytics(analytics).handle(delivered(each))
    assert await rows(analytics, "SELECT id, name, version, cancelled FROM events") == [
        (event.event_id, "Newest", 3, True)
    ]


async def test_a_refund_is_subtracted_once_and_counted_on_its_day(analytics: AsyncEngine) -> None:
    booking = a_confirmed_booking()
    first = a_refund(BookingPartiallyRefunded, booking, amount=6000)
    second = a_refund(BookingRefunded, booking, amount=5050)
    await Analytics(analytics).handle(delivered(booking))
    for each in (delivered(first, day=2), delivered(second, day=2)):
        for _ in range(2):
            await Analytics(analytics).handle(each)
    assert await rows(analytics, "SELECT bookings, tickets, revenue FROM sales") == [(0, 0, 1000)]
    assert await rows(analytics, "SELECT bookings, tickets, revenue FROM daily_sales") == [(1, 2, 12050)]
    assert await rows(analytics, "SELECT day, refunds, tickets, amount FROM daily_refunds") == [
        (date(2030, 1, 2), 2, 2, 11050)
    ]


async def test_a_failed_refund_is_counted_again_only_when_it_succeeds(
    analytics: AsyncEngine,
) -> None:
    booking = a_confirmed_booking()
    refund = a_refund(BookingRefunded, booking, amount=12050)
    taken_back = BookingRefundTakenBack(
        **refund.model_dump(exclude={"type", "event_name"}),
        returned_at=delivered(refund, day=2).time,
        was_refunded=True,
    )
    for each in (delivered(booking), delivered(refund, day=2), delivered(taken_back, day=4)):
        await Analytics(analytics).handle(each)
    assert await rows(analytics, "SELECT bookings, tickets, revenue FROM sales") == [(1, 2, 12050)]
    assert await rows(analytics, "SELECT day, refunds, amount FROM daily_refunds") == [(date(2030, 1, 2), 0, 0)]

    await Analytics(analytics).handle(delivered(refund, day=5))
    assert await rows(analytics, "SELECT bookings, revenue FROM sales") == [(0, 0)]
    assert await rows(analytics, "SELECT day, refunds, amount FROM daily_refunds ORDER BY day") == [
        (date(2030, 1, 2), 0, 0),
        (date(2030, 1, 5), 1, 12050),
    ]


def a_refund(kind: type[BookingMoneyReturned], booking: BookingConfirmed, *, amount: int) -> BookingMoneyReturned:
    return kind(
        type=kind.model_fields["type"].default,
        **booking.model_dump(include={"booking_id", "event_id", "user_id", "event_name", "currency"}),
        status=BookingStatus.REFUNDED,
        refund_id=uuid4(),
        amount=amount,
        refunded=amount,
        tickets=1,
        cause="buyer",
    )
