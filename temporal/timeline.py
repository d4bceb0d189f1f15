"""A workflow's history as a timeline: what happened, when, how often it was tried, and why it failed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.update.v1 import Outcome
from temporalio.client import Client
from temporalio.converter import DataConverter

from temporal.encryption import Undecryptable


class TimelineEntry(BaseModel):
    """One thing that happened.

    Attributes:
        kind: `started`, `command`, `answer`, `step`, `retry`, `timer`, `signal`, `failure` or `ended`.
        what: The command, step or timer.
        attempts: How often a step was tried, where the history knows.
        problem: Why it failed, if it did.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    kind: str
    what: str
    attempts: int | None = None
    problem: str | None = None


async def follow(client: Client, workflow_id: str, *, wait: bool = False) -> AsyncIterator[TimelineEntry]:
    """Yield a workflow's timeline so far; with `wait`, also what is added, until it ends."""
    timeline = _Timeline()
    async for event in client.get_workflow_handle(workflow_id).fetch_history_events(wait_new_event=wait):
        await _reveal(event, client.data_converter)
        entry = timeline.entry(event)
        if entry:
            yield entry


async def of_workflow(client: Client, workflow_id: str) -> list[TimelineEntry]:
    """A workflow's timeline; empty when Temporal does not keep it any more."""
    return [entry async for entry in follow(client, workflow_id)]


async def _reveal(event: HistoryEvent, converter: DataConverter) -> None:
    """Give each failure the clear message of its innermost cause: the outer ones only say that an activity failed."""
    for failure in _failures(event):
        try:
            error: BaseException = await converter.decode_failure(failure)
        except Undecryptable:
            continue
        while error.__cause__:
            error = error.__cause__
        failure.message = getattr(error, "message", "")


def _failures(event: HistoryEvent) -> Iterator[Failure]:
    attributes = getattr(event, str(event.WhichOneof("attributes")))
    for _, value in attributes.ListFields():
        if isinstance(value, Outcome) and value.HasField("failure"):
            yield value.failure
        elif isinstance(value, Failure):
            yield value


class _Timeline:
    """Makes an entry of an event; it remembers names and tries, which later events only refer to."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._attempts: dict[int, int] = {}

    def entry(self, event: HistoryEvent) -> TimelineEntry | None:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        reader = getattr(self, f"_{kind}", None)
        found: dict[str, Any] | None = reader(event) if reader else None
        at = event.event_time.ToDatetime(tzinfo=UTC)
        return TimelineEntry(at=at, **found) if found else None

    def _workflow_execution_started(self, event: HistoryEvent) -> dict[str, Any]:
        return {"kind": "started", "what": event.workflow_execution_started_event_attributes.workflow_type.name}

    def _workflow_execution_update_accepted(self, event: HistoryEvent) -> dict[str, Any]:
        name = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        self._names[event.event_id] = name
        return {"kind": "command", "what": name}

    def _workflow_execution_update_completed(self, event: HistoryEvent) -> dict[str, Any]:
        attributes = event.workflow_execution_update_completed_event_attributes
        name = self._names.get(attributes.accepted_event_id, "update")
        return {"kind": "answer", "what": name, "problem": _why(attributes.outcome.failure)}

    def _marker_recorded(self, event: HistoryEvent) -> dict[str, Any] | None:
        attributes = event.marker_recorded_event_attributes
        if attributes.marker_name != "core_local_activity":
            return None
        data = json.loads(attributes.details["data"].payloads[0].data)
        return {
            "kind": "step",
            "what": data["activity_type"],
            "attempts": data.get("attempt"),
            "problem": _why(attributes.failure),
        }

    def _activity_task_scheduled(self, event: HistoryEvent) -> None:
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        self._names[event.event_id] = name

    def _activity_task_started(self, event: HistoryEvent) -> dict[str, Any] | None:
        attributes = event.activity_task_started_event_attributes
        self._attempts[attributes.scheduled_event_id] = attributes.attempt
        if attributes.attempt == 1:
            return None
        name = self._names.get(attributes.scheduled_event_id, "step")
        problem = _why(attributes.last_failure)
        return {"kind": "retry", "what": name, "attempts": attributes.attempt, "problem": problem}

    def _activity_task_completed(self, event: HistoryEvent) -> dict[str, Any]:
        return self._step(event.activity_task_completed_event_attributes.scheduled_event_id)

    def _activity_task_failed(self, event: HistoryEvent) -> dict[str, Any]:
        attributes = event.activity_task_failed_event_attributes
        return self._step(attributes.scheduled_event_id) | {"problem": _why(attributes.failure)}

    def _activity_task_timed_out(self, event: HistoryEvent) -> dict[str, Any]:
        attributes = event.activity_task_timed_out_event_attributes
        return self._step(attributes.scheduled_event_id) | {"problem": _why(attributes.failure) or "timed out"}

    def _step(self, scheduled: int) -> dict[str, Any]:
        return {
            "kind": "step",
            "what": self._names.get(scheduled, "step"),
            "attempts": self._attempts.get(scheduled),
        }

    def _timer_started(self, event: HistoryEvent) -> dict[str, Any]:
        seconds = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        return {"kind": "timer", "what": f"wait for up to {seconds:.0f} s"}

    def _timer_fired(self, event: HistoryEvent) -> dict[str, Any]:
        return {"kind": "timer", "what": "time is up"}

    def _workflow_execution_signaled(self, event: HistoryEvent) -> dict[str, Any]:
        return {"kind": "signal", "what": event.workflow_execution_signaled_event_attributes.signal_name}

    def _workflow_task_failed(self, event: HistoryEvent) -> dict[str, Any]:
        return {
            "kind": "failure",
            "what": "workflow task",
            "problem": _why(event.workflow_task_failed_event_attributes.failure),
        }

    def _workflow_execution_completed(self, event: HistoryEvent) -> dict[str, Any]:
        return {"kind": "ended", "what": "completed"}

    def _workflow_execution_failed(self, event: HistoryEvent) -> dict[str, Any]:
        problem = _why(event.workflow_execution_failed_event_attributes.failure)
        return {"kind": "ended", "what": "failed", "problem": problem}

    def _workflow_execution_terminated(self, event: HistoryEvent) -> dict[str, Any]:
        return {
            "kind": "ended",
            "what": "terminated",
            "problem": event.workflow_execution_terminated_event_attributes.reason,
        }


def _why(failure: Failure) -> str | None:
    return failure.message or None
