"""What sagas count. The SDK exports it beside its own metrics, and leaves out what a workflow only replays."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from temporalio import workflow


class Metric(NamedTuple):
    """One metric of sagas, as Prometheus knows it; the SDK adds the labels `task_queue` and `workflow_type`."""

    name: str
    description: str
    label: str


BOOKINGS: Final = Metric("seatwright_bookings_total", "Bookings that ended", "outcome")
SEATS: Final = Metric("seatwright_seats_total", "Seats that were held, and seats by their booking's end", "outcome")
COMPENSATIONS: Final = Metric("seatwright_compensations_total", "Steps that were undone", "step")
ATTENTION: Final = Metric("seatwright_attention_total", "Sagas that began to wait for an operator", "step")
CONFIRMATION: Final = Metric("seatwright_confirmation_seconds", "From the command to pay to the tickets", "buyer_acted")

COUNTERS: Final = (BOOKINGS, SEATS, COMPENSATIONS, ATTENTION)
HISTOGRAMS: Final = {CONFIRMATION: (0.05, 0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)}
"""The upper bounds of their buckets, in seconds."""


def count_booking(outcome: str, seats: int) -> None:
    """A booking has ended, with so many seats; a refused hold counts as a booking that ended as `refused`."""
    _count(BOOKINGS, 1, outcome)
    _count(SEATS, seats, outcome)


def count_held(seats: int) -> None:
    """A booking has begun to hold so many seats; they count once more at its end."""
    _count(SEATS, seats, "held")


def count_compensation(step: str) -> None:
    """A step is undone."""
    _count(COMPENSATIONS, 1, step)


def count_attention(step: str) -> None:
    """A saga begins to wait for an operator at this step."""
    _count(ATTENTION, 1, step)


def observe_confirmation(took: timedelta, *, buyer_acted: bool) -> None:
    """A payment ended in tickets so long after its command; where the buyer had to act, it includes that time."""
    histogram = workflow.metric_meter().create_histogram_float(CONFIRMATION.name, CONFIRMATION.description, "s")
    histogram.record(took.total_seconds(), {CONFIRMATION.label: "yes" if buyer_acted else "no"})


def _count(metric: Metric, value: int, label: str) -> None:
    workflow.metric_meter().create_counter(metric.name, metric.description).add(value, {metric.label: label})
