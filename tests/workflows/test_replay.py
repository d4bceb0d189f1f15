"""Histories recorded from real bookings keep replaying: a change that would break running sagas fails here.

To record anew, after a change that is versioned or that no running saga can meet: `python -m tests.workflows.record`.
`late-payment-pending` and `lost-order` are of runs of `test_late_payments` and `test_lost_orders`;
`cancelled-in-mid-payment` is of a buyer who cancels while the card is being authorized, and `confirmed-by-its-row` of
an answer that the server dropped (`test_answers`). `event-cancellation-begins`, `-goes-on` and `-ends` are of when
refunds were begun one after another.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from config.settings import Settings
from temporal.encryption import data_converter
from tests.workflows.sandbox import WORKFLOW_RUNNER
from workers.temporal.worker import PAYMENT_WORKFLOWS, RESERVATION_WORKFLOWS
from workflows.publication import PublishEvent

HISTORIES = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent.parent / "histories").glob("*.json"))
}


@pytest.mark.parametrize("name", HISTORIES)
async def test_a_recorded_history_replays(name: str) -> None:
    history = WorkflowHistory.from_json(name, HISTORIES[name])
    replayer = Replayer(
        workflows=[*RESERVATION_WORKFLOWS, *PAYMENT_WORKFLOWS, PublishEvent],
        data_converter=data_converter(Settings(mode="development")),
        workflow_runner=WORKFLOW_RUNNER,
    )
    result = await replayer.replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is None


def test_there_are_histories_of_every_way_a_booking_ends() -> None:
    assert set(HISTORIES) >= {
        "confirmed", "declined-then-confirmed", "cancelled", "expired", "failed", "seats-unavailable",
        "three-d-secure", "needs-attention", "abandoned", "late-payment-sold", "late-payment-returned",
        "late-payment-pending", "lost-order", "cancelled-in-mid-payment", "confirmed-by-its-row",
    }  # fmt: skip


def test_there_are_histories_of_refunds_and_of_a_cancelled_event() -> None:
    assert set(HISTORIES) >= {
        "refunded", "refund-failed-then-retried", "refund-needs-attention", "refund-refused", "refund-pending",
        "event-cancellation-begins", "event-cancellation-goes-on", "event-cancellation-ends",
        "event-cancellation-together-begins", "event-cancellation-together-goes-on", "event-cancellation-together-ends",
    }  # fmt: skip


def test_there_are_histories_of_reconciliation() -> None:
    assert set(HISTORIES) >= {"reconciliation", "reconciliation-daily"}


def test_there_are_histories_of_exchanges() -> None:
    assert set(HISTORIES) >= {
        "exchanged-for-a-dearer-seat", "exchanged-for-a-cheaper-seat", "exchanged-for-an-equal-seat",
        "exchange-declined", "exchange-three-d-secure", "exchange-abandoned", "exchange-needs-attention",
        "exchange-capture-refused", "exchange-refused",
    }  # fmt: skip
