"""A consumer that was down for weeks goes on where it stopped: brokers keep its offsets longer than the events."""

from __future__ import annotations

from datetime import timedelta

from adapters.kafka.brokers import OFFSETS_KEPT, fault_of_offsets
from adapters.kafka.client import EVENTS_KEPT


def test_offsets_outlive_the_events_that_they_count(bootstrap: str) -> None:
    assert OFFSETS_KEPT > EVENTS_KEPT
    assert fault_of_offsets(bootstrap) is None


def test_a_broker_that_forgets_offsets_too_early_is_named_with_the_right_value(bootstrap: str) -> None:
    fault = fault_of_offsets(bootstrap, OFFSETS_KEPT + timedelta(minutes=1))
    assert fault
    assert fault.startswith("Kafka's offsets.retention.minutes is 44640. It has to be 44641 or more on each broker")
