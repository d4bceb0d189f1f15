"""The textbook saga is a fair baseline: it has the same effects as the booking saga."""

from __future__ import annotations

from audit.run import audit
from bench.saga import Bookings
from bench.textbook import QUEUE, NoOp, TextbookSaga
from config.settings import Settings
from config.tracing import configure as configure_tracing
from temporal.connection import connect, connect_worker
from workers.temporal import worker


async def test_the_textbook_saga_sells_like_the_booking_saga_with_more_history_events(settings: Settings) -> None:
    configure_tracing()  # which a worker under our options needs
    bookings = Bookings(settings, await connect(settings))
    async with worker.worker(await connect_worker(settings), QUEUE, [NoOp, TextbookSaga], []):
        textbook = await bookings.events_of(bookings.textbook)
        textbooks_event = bookings.event
        ours = await bookings.events_of(bookings.ours)
    assert ours < textbook
    assert not await audit(settings, [bookings.event])
    broken = {finding.invariant for finding in await audit(settings, [textbooks_event])}
    assert not broken
