"""With each guard of outcomes broken, the audit names the booking with a missing, repeated or wrong outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest
from sqlalchemy.exc import DBAPIError

from audit import queries
from audit.invariants.outcomes import kafka_has_no_other_outcomes
from audit.probes.kafka_log import KafkaLog, Reading
from audit.run import find_violations
from audit.snapshot import Snapshot
from db.outbox import OutboxMessage, append
from db.reservation.bookings.bookings import identity
from domain.domain_events import BookingCancelled
from tests.audit.harness import Harness

TOLD, REACHES = "an outcome is recorded once", "every outcome reaches kafka"
ELSE, STATES = "kafka has no other outcomes", "states follow from domain events"

SWALLOW = """
    CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER swallow BEFORE INSERT ON domain_events
    FOR EACH ROW WHEN (NEW.type = 'booking.cancelled') EXECUTE FUNCTION swallow()
"""


async def test_an_outcome_that_is_never_recorded_is_found(harness: Harness) -> None:
    await harness.sql("reservation", SWALLOW)
    booking = await harness.cancelled("A-1-1")
    assert await harness.finds() == {(TOLD, str(booking.id)), (STATES, str(booking.id))}


async def test_an_outcome_recorded_twice_is_found_without_the_version_check(harness: Harness) -> None:
    booking = await harness.cancelled("A-1-1")
    async with harness.database("reservation").begin() as connection:
        await append(connection, booking.id, BookingCancelled(**identity(booking)))
    assert await harness.finds() == {(TOLD, str(booking.id)), (STATES, str(booking.id))}


async def test_a_rewritten_history_is_found_without_the_trigger(harness: Harness) -> None:
    booking = await harness.bought("A-1-1")
    rewrite = "UPDATE domain_events SET data = data || '{\"status\": \"expired\"}' WHERE type = 'booking.paying'"
    with pytest.raises(DBAPIError, match="append-only"):
        await harness.sql("reservation", rewrite)
    await harness.sql("reservation", "DROP TRIGGER domain_events_are_append_only ON domain_events")
    await harness.sql("reservation", rewrite)
    assert await harness.finds() == {(STATES, str(booking.id))}


async def test_a_forbidden_change_of_state_is_found_without_the_trigger(harness: Harness) -> None:
    booking = await harness.cancelled("A-1-1")
    revive = "UPDATE bookings SET status = 'expired'"
    with pytest.raises(DBAPIError, match="cannot go from cancelled to expired"):
        await harness.sql("reservation", revive)
    await harness.sql("reservation", "DROP TRIGGER bookings_change_along_legal_edges ON bookings")
    await harness.sql("reservation", revive)
    assert await harness.finds() == {(STATES, str(booking.id))}


async def test_a_lost_outcome_is_found_when_the_relay_deletes_before_it_publishes(
    harness: Harness,
) -> None:
    booking = await harness.cancelled("A-1-1")
    for message in await harness.waiting():
        await harness.forget(message)  # and here the relay dies
    assert await harness.finds() == {(REACHES, str(booking.id))}


async def test_an_uncommitted_outcome_is_found_when_it_is_published_before_the_commit(harness: Harness) -> None:
    booking = await harness.cancelled("A-1-1")
    [*_, told] = await harness.relay()
    await harness.publish(replace(told, domain_event_id=uuid4()))  # a transaction that was then rolled back
    harness.notify()
    assert await harness.finds() == {(ELSE, str(booking.id))}


async def confirmed_on_kafka_only(harness: Harness, told: OutboxMessage) -> None:
    """The outcome of a sale that was published, and whose commit Postgres has lost, as by a failover."""
    await harness.publish(replace(told, domain_event_id=uuid4(), type="booking.confirmed"))


async def test_a_sale_on_kafka_that_postgres_has_lost_is_found_while_its_booking_is_open(harness: Harness) -> None:
    booking = await harness.authorized("A-1-1")
    await harness.saga(booking)
    [*_, told] = await harness.relay()
    assert await harness.finds() == set()
    await confirmed_on_kafka_only(harness, told)
    assert await harness.finds() == {(ELSE, str(booking.id))}


async def test_an_audit_of_all_events_finds_a_sale_whose_booking_postgres_has_lost(harness: Harness) -> None:
    await harness.held("A-1-1")
    [told] = await harness.relay()
    lost = uuid4()
    await confirmed_on_kafka_only(harness, replace(told, aggregate_id=lost))
    # The topics have what other tests have published, too; their bookings are in other databases.
    of_all = harness.connections._replace(event_ids=None)
    found = await find_violations(of_all, [kafka_has_no_other_outcomes], again_after=0.1)
    assert str(lost) in {each.subject for each in found}


async def test_a_booking_that_ends_while_the_audit_reads_is_no_fault(harness: Harness) -> None:
    booking = await harness.held("A-1-1")

    class ReadLater(KafkaLog):
        """Kafka as it is after the booking has ended."""

        async def read(self, topics: Iterable[str], since: datetime, wanted: Callable[[str], bool]) -> Reading:
            await harness.end(booking)
            await harness.relay()
            return await super().read(topics, since, wanted)

    kafka = ReadLater(harness.bootstrap, harness.prefix)
    snapshot = Snapshot(harness.connections._replace(kafka=kafka))
    assert await kafka_has_no_other_outcomes(snapshot) == []
    deliveries = await snapshot.read(queries.deliveries)
    assert [envelope.type for envelope in deliveries.published.values()] == ["booking.cancelled"]
    assert deliveries.outcomes == []


async def test_an_end_that_is_delivered_twice_is_no_fault(harness: Harness) -> None:
    await harness.cancelled("A-1-1")
    for message in await harness.relay():
        await harness.publish(message)
    harness.notify()
    assert await harness.finds() == set()
