"""A workflow's history as a timeline: what happened, when, how often it was tried, and why it failed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from temporal.encryption import Undecryptable
from temporal.failures import describe_failure
from temporal.findings import find_problem
from temporal.search_attributes import STATUS


class TimelineEntry(BaseModel):
    """One thing that happened.

    Attributes:
        at: When it was done (UTC).
        began_at: When a step began (UTC), with all of its tries.
        kind: `started`, `command`, `answer`, `step`, `retry`, `timer`, `signal`, `status`, `failure` or `ended`.
        what: The command, step or timer.
        summary: What it is for.
        attempts: How often a step was tried, where the history knows.
        provider: The payment provider that it concerns.
        code: The provider's own code, if it refused.
        problem: Why it failed, if it did.
    """

    model_config = ConfigDict(frozen=True)

    at: datetime
    began_at: datetime | None = None
    kind: str
    what: str
    summary: str | None = None
    attempts: int | None = None
    provider: str | None = None
    code: str | None = None
    problem: str | None = None


async def follow(client: Client, workflow_id: str, *, wait: bool = False) -> AsyncIterator[TimelineEntry]:
    """Yield a workflow's timeline so far; with `wait`, also what is added, until it ends."""
    events = client.get_workflow_handle(workflow_id).fetch_history_events(wait_new_event=wait)
    async for entry in read_history(events, client.data_converter):
        yield entry


async def read_history(events: AsyncIterator[HistoryEvent], converter: DataConverter) -> AsyncIterator[TimelineEntry]:
    """Yield what a history says."""
    timeline = _Timeline()
    async for event in events:
        entry = timeline.entry(event, await _reveal(event, converter))
        if entry:
            yield entry


async def of_workflow(client: Client, workflow_id: str) -> list[TimelineEntry]:
    """A workflow's timeline; empty where there was none, or when Temporal does not keep it any more."""
    try:
        return [entry async for entry in follow(client, workflow_id)]
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        return []


class _Revealed(NamedTuple):
    """What an event says in clear text.

    Attributes:
        value: The input or result, as JSON.
        why: Why something failed.
    """

    summary: str | None
    value: Any
    why: str | None


async def _reveal(event: HistoryEvent, converter: DataConverter) -> _Revealed:
    attributes = getattr(event, str(event.WhichOneof("attributes")))
    failure = _failure(attributes)
    return _Revealed(
        summary=await _value([event.user_metadata.summary], converter) if event.HasField("user_metadata") else None,
        value=await _value(_payloads(attributes), converter),
        why=await describe_failure(failure, converter) if failure else None,
    )


def _failure(attributes: Any) -> Failure | None:
    """The failure in an event, also of a command's outcome."""
    holder = getattr(attributes, "outcome", attributes)
    names = [name for name in ("failure", "last_failure") if name in holder.DESCRIPTOR.fields_by_name]
    return next((getattr(holder, name) for name in names if holder.HasField(name)), None)


def _payloads(attributes: Any) -> Iterable[Payload]:
    """The result in an event, or the input of a command or step."""
    fields = attributes.DESCRIPTOR.fields_by_name
    if "outcome" in fields:
        holder = attributes.outcome.success
    elif "accepted_request" in fields:
        holder = attributes.accepted_request.input.args
    elif "marker_name" in fields:
        holder = attributes.details.get("result")
    else:
        holder = next((getattr(attributes, name) for name in ("result", "input") if name in fields), None)
    return list(holder.payloads) if holder else ()


async def _value(payloads: Iterable[Payload], converter: DataConverter) -> Any:
    """The first payload, from JSON; None where there is none, or it cannot be read."""
    sealed = list(payloads)[:1]
    try:
        opened = await converter.payload_codec.decode(sealed) if converter.payload_codec else sealed
        return json.loads(opened[0].data) if opened and opened[0].data else None
    except (Undecryptable, ValueError):
        return None


class _Timeline:
    """Makes an entry of an event; it remembers what later events only refer to."""

    def __init__(self) -> None:
        self._begun: dict[int, dict[str, Any]] = {}  # what commands and steps are, by the event that began them
        self._attempts: dict[int, int] = {}
        self._task_at: datetime | None = None
        self._provider: str | None = None
        self._last_problem: str | None = None

    def entry(self, event: HistoryEvent, revealed: _Revealed) -> TimelineEntry | None:
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_").lower()
        if kind == "workflow_task_started":
            self._task_at = _time(event)
        reader = getattr(self, f"_{kind}", None)
        found: dict[str, Any] | None = reader(event, revealed) if reader else None
        if not found:
            return None
        entry = TimelineEntry(**{"at": _time(event), "summary": revealed.summary, "problem": revealed.why} | found)
        self._last_problem = entry.problem or self._last_problem
        return entry

    def _workflow_execution_started(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "started", "what": event.workflow_execution_started_event_attributes.workflow_type.name}

    def _workflow_execution_update_accepted(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        name = event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name
        self._begun[event.event_id] = {"what": name}
        self._remember_provider(revealed.value)
        # The event is written when the task ends, after the steps that the command led to.
        return {"at": self._task_at or _time(event), "kind": "command", "what": name} | self._of_provider(revealed)

    def _workflow_execution_update_completed(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        accepted = event.workflow_execution_update_completed_event_attributes.accepted_event_id
        name = self._begun.get(accepted, {"what": "update"})["what"]
        return {"kind": "answer", "what": name} | self._result(name, revealed)

    def _marker_recorded(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any] | None:
        attributes = event.marker_recorded_event_attributes
        if attributes.marker_name != "core_local_activity":
            return None
        data = json.loads(attributes.details["data"].payloads[0].data)
        name = data["activity_type"]
        began, done = (_worker_time(data.get(name)) for name in ("original_schedule_time", "complete_time"))
        # The second of them counts from the beginning of the task, and may fall behind the first by some milliseconds.
        times = {"began_at": began, "at": max(began, done)} if began and done else {}
        step = {"kind": "step", "what": name, "attempts": data.get("attempt")} | times
        return step | self._result(name, revealed)

    def _activity_task_scheduled(self, event: HistoryEvent, revealed: _Revealed) -> None:
        name = event.activity_task_scheduled_event_attributes.activity_type.name
        self._remember_provider(revealed.value)
        self._begun[event.event_id] = {"what": name, "began_at": _time(event), "summary": revealed.summary}

    def _activity_task_started(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any] | None:
        attributes = event.activity_task_started_event_attributes
        self._attempts[attributes.scheduled_event_id] = attributes.attempt
        if attributes.attempt == 1:
            return None
        return self._step(attributes.scheduled_event_id, revealed) | {"kind": "retry"}

    def _activity_task_completed(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        return self._step(event.activity_task_completed_event_attributes.scheduled_event_id, revealed)

    def _activity_task_failed(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        return self._step(event.activity_task_failed_event_attributes.scheduled_event_id, revealed)

    def _activity_task_timed_out(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        step = self._step(event.activity_task_timed_out_event_attributes.scheduled_event_id, revealed)
        return step | {"problem": step.get("problem") or "timed out"}

    def _step(self, scheduled: int, revealed: _Revealed) -> dict[str, Any]:
        begun = self._begun.get(scheduled, {"what": "step"})
        step = {"kind": "step", "attempts": self._attempts.get(scheduled)} | begun
        return step | self._result(begun["what"], revealed)

    def _result(self, name: str, revealed: _Revealed) -> dict[str, Any]:
        """What a result or a failure says, and which provider it is about."""
        found = find_problem(name, revealed.value)
        self._provider = found.provider or self._provider
        problem = revealed.why or found.problem
        return {"problem": problem, "code": found.code} | self._of_provider(revealed, is_problem=found.code is not None)

    def _of_provider(self, revealed: _Revealed, *, is_problem: bool = False) -> dict[str, Any]:
        is_named = isinstance(revealed.value, dict) and "provider" in revealed.value
        return {"provider": self._provider} if is_named or is_problem or revealed.why else {}

    def _remember_provider(self, value: Any) -> None:
        named = value.get("provider") if isinstance(value, dict) else None
        self._provider = named if isinstance(named, str) else self._provider

    def _timer_started(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        seconds = event.timer_started_event_attributes.start_to_fire_timeout.ToTimedelta().total_seconds()
        return {"kind": "timer", "what": f"wait for up to {seconds:.0f} s"}

    def _timer_fired(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "timer", "what": "time is up"}

    def _workflow_execution_signaled(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "signal", "what": event.workflow_execution_signaled_event_attributes.signal_name}

    def _upsert_workflow_search_attributes(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any] | None:
        attributes = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
        data = attributes[STATUS.name].data if STATUS.name in attributes else b""
        if not data:  # not changed, or taken back: it is shown no more
            return None
        status = str(json.loads(data))
        problem = self._last_problem if status == "needs_attention" else None
        return {"kind": "status", "what": status, "problem": problem}

    def _workflow_task_failed(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "failure", "what": "workflow task"}

    def _workflow_execution_completed(self, event: HistoryEvent, revealed: _Revealed) -> dict[str, Any]:
        return {"kind": "ended", "what": "completed", "problem": find_problem("", revealed.value).problem}

    def _workflow_execution_failed(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "ended", "what": "failed"}

    def _workflow_execution_timed_out(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "ended", "what": "timed out"}

    def _workflow_execution_canceled(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        return {"kind": "ended", "what": "cancelled"}

    def _workflow_execution_terminated(self, event: HistoryEvent, _: _Revealed) -> dict[str, Any]:
        reason = event.workflow_execution_terminated_event_attributes.reason
        return {"kind": "ended", "what": "terminated", "problem": reason or None}


def _time(event: HistoryEvent) -> datetime:
    return event.event_time.ToDatetime(tzinfo=UTC)


def _worker_time(written: Mapping[str, int] | None) -> datetime | None:
    """A time that a worker noted: the event of a local step has the time at which the whole task ended."""
    if not written:
        return None
    return datetime.fromtimestamp(written["seconds"] + written.get("nanos", 0) / 1e9, UTC)
