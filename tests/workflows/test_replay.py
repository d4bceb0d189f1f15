"""Histories recorded from real sagas keep replaying: a change that would break running sagas fails here.

`docs/changing-a-workflow.md` says how to change a workflow. `python -m tests.workflows.recording` records the
histories.
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
        "booking-confirmed", "booking-confirmed-after-a-decline", "booking-confirmed-after-3d-secure",
        "booking-confirmed-although-its-answer-was-lost", "booking-cancelled", "booking-cancelled-while-paying",
        "booking-expired", "booking-expired-after-an-abandoned-payment", "booking-undone-after-its-worker-died",
        "booking-failed-because-its-event-was-cancelled", "booking-failed-after-an-operators-retry",
        "booking-refused-because-its-seat-was-taken", "booking-refused", "booking-reset-in-3d-secure",
        "booking-reset-after-its-refund", "booking-undone-because-its-tickets-were-forbidden",
    }  # fmt: skip


def test_there_are_histories_of_late_payments() -> None:
    assert set(HISTORIES) >= {
        "late-payment-gets-its-seats", "late-payment-goes-back", "late-payment-goes-back-after-a-pending-refund",
        "late-payment-gets-its-seats-for-its-own-money", "late-payment-goes-back-for-its-own-money",
        "late-payment-goes-back-after-a-pending-refund-for-its-own-money",
    }  # fmt: skip


def test_there_are_histories_of_refunds() -> None:
    assert set(HISTORIES) >= {
        "refund-succeeded", "refund-succeeded-at-its-second-try", "refund-succeeded-after-an-operators-retry",
        "refund-made-by-an-operator", "refund-succeeded-after-it-was-pending", "refund-made-again",
        "refund-made-again-after-its-workflow-had-ended", "refund-made-again-and-checked-afterwards",
        "refund-made-again-after-its-workflow-had-ended-and-checked-afterwards",
        "refund-refused-because-its-tickets-were-void", "refund-refused", "refund-reset-after-it-succeeded",
        "provider-refund-learned", "refund-of-what-the-provider-left",
    }  # fmt: skip


def test_there_are_histories_of_exchanges() -> None:
    assert set(HISTORIES) >= {
        "exchange-for-a-dearer-seat", "exchange-for-a-cheaper-seat", "exchange-for-an-equal-seat",
        "exchange-after-3d-secure", "exchange-failed-by-a-decline", "exchange-failed-by-its-capture",
        "exchange-abandoned", "exchange-abandoned-after-an-operators-retry",
        "exchange-refused-because-its-seat-was-taken", "exchange-refused",
        "exchange-abandoned-and-answered-while-it-waits", "exchange-reset-after-it-was-completed",
    }  # fmt: skip


def test_there_are_histories_of_events_and_of_reconciliation() -> None:
    assert set(HISTORIES) >= {
        "event-published", "event-cancellation-estimated", "event-cancellation-first-run",
        "event-cancellation-second-run", "event-cancellation-last-run", "reconciliation-of-a-day",
        "reconciliation-of-all-days-due", "event-cancellation-of-the-version-that-was-read",
        "event-cancellation-refused-for-another-version", "event-cancellation-that-asks-for-help",
        "event-cancellation-that-needs-no-help-any-more", "reconciliation-of-a-provider-that-was-away",
        "reconciliation-that-went-on-after-a-long-failure",
    }  # fmt: skip


def test_every_workflow_has_a_history() -> None:
    recorded = {
        history["events"][0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
        for history in HISTORIES.values()
    }
    names = {
        getattr(workflow, "__temporal_workflow_definition").name
        for workflow in [*RESERVATION_WORKFLOWS, *PAYMENT_WORKFLOWS, PublishEvent]
    }
    assert names == recorded


def test_there_is_a_history_of_each_saga_whose_provider_was_paid_another_amount() -> None:
    assert set(HISTORIES) >= {
        "booking-undone-for-another-amount", "exchange-undone-for-another-amount",
        "late-payment-goes-back-for-another-amount",
    }  # fmt: skip
