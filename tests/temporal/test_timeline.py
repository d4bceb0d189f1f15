"""The timeline of recorded sagas: causes in words, the provider and its code, and the real time of each step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowHistory
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from config.settings import Settings
from temporal.encryption import data_converter
from temporal.failures import describe_failure
from temporal.findings import find_problem
from temporal.timeline import TimelineEntry, read_history

FOLDER = Path(__file__).parents[1] / "histories"
NAMES = sorted(path.stem for path in FOLDER.glob("*.json"))


def converter() -> DataConverter:
    return data_converter(Settings(mode="development"))


async def timeline(name: str) -> list[TimelineEntry]:
    history = WorkflowHistory.from_json(name, (FOLDER / f"{name}.json").read_text())

    async def events() -> AsyncIterator[HistoryEvent]:
        for event in history.events:
            yield event

    return [entry async for entry in read_history(events(), converter())]


@pytest.mark.parametrize("name", NAMES)
async def test_no_timeline_shows_a_sealed_or_an_empty_cause(name: str) -> None:
    for entry in await timeline(name):
        shown = entry.model_dump_json()
        assert "Encoded failure" not in shown
        assert "Failure exceeds" not in shown
        assert entry.problem != ""


@pytest.mark.parametrize("name", NAMES)
async def test_each_step_has_its_own_time(name: str) -> None:
    steps = [entry for entry in await timeline(name) if entry.kind == "step"]
    assert all(entry.began_at and entry.began_at <= entry.at for entry in steps)
    assert len({entry.at for entry in steps}) == len(steps)
    assert [entry.at for entry in steps] == sorted(entry.at for entry in steps)


async def test_a_command_comes_before_the_steps_that_it_leads_to() -> None:
    entries = await timeline("booking-confirmed")
    pay = next(index for index, entry in enumerate(entries) if (entry.kind, entry.what) == ("command", "pay"))
    assert all(entries[pay].at <= entry.at for entry in entries[pay:] if entry.kind in ("step", "answer"))


async def test_a_declined_payment_names_its_provider_its_code_and_why() -> None:
    entries = await timeline("booking-confirmed-after-a-decline")
    [declined] = [entry for entry in entries if entry.what == "authorize" and entry.problem]
    assert (declined.provider, declined.code) == ("stripe", "generic_decline")
    assert declined.problem == "the provider declined the payment (generic_decline)"
    [answer] = [entry for entry in entries if entry.kind == "answer" and entry.problem]
    assert (answer.what, answer.code) == ("pay", "generic_decline")
    assert answer.problem == "The payment was declined; the seats stay held. (generic_decline)"


async def test_a_refund_that_is_refused_says_so_at_each_try_and_where_it_is_parked() -> None:
    entries = await timeline("refund-made-by-an-operator")
    refused = [entry for entry in entries if entry.what == "give_refund"]
    assert [(entry.problem, entry.code) for entry in refused] == [
        ("the provider did not make the refund (expired_or_canceled_card)", "expired_or_canceled_card")
    ] * 3
    [parked] = [entry for entry in entries if (entry.kind, entry.what) == ("status", "needs_attention")]
    assert parked.problem == refused[-1].problem


async def test_a_parked_step_says_what_keeps_failing() -> None:
    entries = await timeline("booking-failed-after-an-operators-retry")
    [retry] = [entry for entry in entries if entry.kind == "retry"]
    assert retry.problem == "an error of type PaymentUnknown: an error of type APIError", "the server lost the words"
    [failed] = [entry for entry in entries if entry.what == "return_money" and entry.kind == "step" and entry.problem]
    assert failed.problem
    assert failed.problem.endswith("An unknown error occurred")
    assert (failed.provider, failed.attempts) == ("stripe", 4)
    [parked] = [entry for entry in entries if (entry.kind, entry.what) == ("status", "needs_attention")]
    assert parked.problem == failed.problem


async def _failure(depth: int, message: str) -> Failure:
    """An error with causes, as an activity raises it."""

    def fail(level: int) -> None:
        if level:
            try:
                fail(level - 1)
            except ApplicationError as cause:
                raise ApplicationError(f"{message} {level}", type="PaymentUnknown") from cause
        raise ApplicationError(f"{message} 0", type="APIError")

    failure = Failure()
    try:
        fail(depth)
    except ApplicationError as error:
        await converter().encode_failure(error, failure)
    return failure


async def test_an_error_with_its_causes_is_small_enough_for_temporal_to_keep() -> None:
    failure = await _failure(2, "the provider cannot be reached " + "x" * 5_000)
    assert failure.ByteSize() < 4096, "the server would throw the messages away"


async def test_the_words_of_an_error_are_those_of_all_its_causes() -> None:
    words = await describe_failure(await _failure(2, "level"), converter())
    assert words == "level 2: level 1: level 0"


async def test_an_error_whose_words_are_lost_is_named_by_its_type() -> None:
    failure = await _failure(1, "level")
    for each in (failure, failure.cause):
        each.ClearField("encoded_attributes")
    assert await describe_failure(failure, converter()) == "an error of type PaymentUnknown: an error of type APIError"


async def test_an_error_that_no_key_opens_says_so() -> None:
    failure = await _failure(0, "level")
    failure.encoded_attributes.CopyFrom(
        Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"lost"}, data=b"x" * 40)
    )
    assert await describe_failure(failure, converter()) == "the reason is sealed with a key that is not known any more"


@pytest.mark.parametrize(
    ("step", "result", "problem", "code"),
    [
        ("authorize", {"result": "authorized", "code": None}, None, None),
        ("authorize", {"result": "declined", "code": "x", "message": "No funds."},
         "the provider declined the payment: No funds. (x)", "x"),
        ("authorize", {"result": "rejected", "code": "y"}, "the provider does not accept the request (y)", "y"),
        ("authorize", {"result": "lapsed", "code": None}, "no charge was started in time", None),
        ("give_refund", {"state": "succeeded", "code": None}, None, None),
        ("give_refund", {"state": "pending", "code": None}, "the provider has not decided about the refund", None),
        ("give_refund", {"state": "failed", "code": None}, "the provider did not make the refund", None),
        ("capture", "expired", "the provider refuses to take the money (expired)", "expired"),
        ("capture", None, None, None),
        ("commit", {"type": "event-not-on-sale", "detail": "Gone.", "members": {}}, "Gone.", None),
        ("pay", {"booking": {}, "problem": {"type": "t", "detail": "No.", "members": {"code": "z"}}}, "No. (z)", "z"),
        ("pay", {"booking": {}, "problem": None}, None, None),
        ("hold", {"state": "failed"}, None, None),
        ("anything", [1], None, None),
        ("anything", "text", None, None),
    ],
)  # fmt: skip
def test_a_result_that_is_a_refusal_is_put_in_words(
    step: str, result: object, problem: str | None, code: str | None
) -> None:
    found = find_problem(step, result)
    assert (found.problem, found.code) == (problem, code)
