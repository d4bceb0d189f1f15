"""An event's cancellation whose refunds come to nothing, round after round, asks operators for help in words."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

import workflows.refund
from domain.event_cancellations import Failing
from domain.refunds import RefundRequest
from temporal.search_attributes import STATUS
from tests.workflows.cancelling import FailedRefund, OneBooking, RefusedRefund, StuckRefund
from tests.workflows.refunds_in_vain import cancelling
from tests.workflows.test_time import skipping
from workflows.refund import RefundWorkflow

__all__ = ["skipping"]

LONG = timedelta(minutes=20)


async def shown(saga: WorkflowHandle[Any, Any]) -> tuple[str | None, str]:
    """The status by which operators find it, and what they read there."""
    metadata = await saga.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return (await saga.describe()).typed_search_attributes.get(STATUS), metadata.current_details


async def breaks(request: RefundRequest) -> None:
    raise RuntimeError("no such namespace") from ValueError("it was deleted")


@pytest.mark.parametrize(
    ("refund", "starts", "flagged_in", "why"),
    [
        (FailedRefund, False, 4, "does not start: RuntimeError: no such namespace (ValueError: it was deleted)"),
        (
            FailedRefund,
            True,
            4,
            "has failed: ChildWorkflowError: Child Workflow execution failed (ApplicationError: the disk",
        ),
        (RefusedRefund, True, 4, "is refused: The policy does not allow it."),
        (StuckRefund, True, 5, "runs, but is not accepted"),  # the first round starts it
    ],
    ids=["does not start", "fails", "is refused", "is stuck"],
)
async def test_refunds_that_come_to_nothing_in_four_rounds_need_attention(
    skipping: WorkflowEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    refund: type,
    starts: bool,
    flagged_in: int,
    why: str,
) -> None:
    if not starts:
        monkeypatch.setattr(workflows.refund, "start_refund", breaks)
    event = OneBooking()
    async with cancelling(skipping, event, refund) as saga:
        await skipping.sleep(LONG)
        status, details = await shown(saga)
        assert event.flags == [(True, flagged_in)]
        assert event.rounds > 5
        assert status == "needs_attention"
        assert details.startswith("NEEDS ATTENTION: 1 refund(s) come to nothing, in ")
        assert f"the refund of booking {event.booking} {why}" in details

        event.is_paid_back = True
        assert (await saga.result()).refunded == 1
        assert [needed for needed, _ in event.flags] == [True, False]
        assert (await saga.describe()).typed_search_attributes.get(STATUS) is None


async def test_a_refund_that_comes_to_nothing_for_some_rounds_needs_no_attention(
    skipping: WorkflowEnvironment,
) -> None:
    event = OneBooking()
    async with cancelling(skipping, event, RefusedRefund) as saga:
        await skipping.sleep(timedelta(seconds=4))
        assert 2 <= event.rounds <= 3
        event.is_paid_back = True
        assert (await saga.result()).refunded == 1
    assert event.flags == []


async def test_a_cancellation_started_again_ends_the_attention_that_its_row_shows(
    skipping: WorkflowEnvironment,
) -> None:
    event = OneBooking()
    event.is_paid_back = True
    async with cancelling(skipping, event, RefundWorkflow, Failing(is_shown=True)) as saga:
        await saga.result()
    assert event.flags == [(False, 1)]


@pytest.mark.parametrize("is_known", [True, False], ids=["by its request", "by its row"])
async def test_a_cancellation_started_again_needs_attention_until_its_refunds_succeed(
    skipping: WorkflowEnvironment, is_known: bool
) -> None:
    event = OneBooking()
    event.needs_attention = True
    async with cancelling(skipping, event, RefusedRefund, Failing(is_shown=is_known), begins=not is_known) as saga:
        await skipping.sleep(LONG)
        assert event.flags == [(True, 1)]  # so that the search attribute of the new workflow has it too
        status, details = await shown(saga)
        assert status == "needs_attention"
        assert details.startswith("NEEDS ATTENTION: 1 refund(s) come to nothing, in ")
        event.is_paid_back = True
        await saga.result()
    assert [needed for needed, _ in event.flags] == [True, False]


@pytest.mark.parametrize(
    ("rounds", "is_shown"),
    [
        ([1], False),
        ([1, 1, 1], False),
        ([1, 1, 1, 1], True),
        ([3, 1, 2, 5], True),
        ([1, 1, 1, 0, 1], False),
        ([1, 1, 1, 1, 0], False),
    ],
    ids=str,
)
def test_only_rounds_in_a_row_are_counted(rounds: list[int], is_shown: bool) -> None:
    failing = Failing()
    for count in rounds:
        for number in range(count):
            failing = failing.with_another(f"refund {number}")
        failing = failing.after_the_round(bearable=3)
    assert failing.is_shown is is_shown
    assert failing.why == ("refund 0" if rounds[-1] else "")
