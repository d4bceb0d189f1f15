"""Faults on demand: rules that apply to the next matching calls, each a fixed number of times."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

from sandbox.calls import Call
from sandbox.store import Store

# The phase of a fault decides what it may lose. On arrival nothing is done and no key is read. In execution the key is
# in flight and the outcome is saved under it. On the response the outcome is saved, but the client never receives it.
ON_ARRIVAL = frozenset({"429", "500_before", "timeout_before", "reset_before"})
IN_EXECUTION = frozenset({"slow", "decline", "processing", "500_saved", "500_after"})
ON_ANSWER = frozenset({"timeout_after", "reset_after"})
KINDS = ON_ARRIVAL | IN_EXECUTION | ON_ANSWER

OPERATIONS = frozenset({"create", "confirm", "capture", "cancel", "refund", "retrieve", "list", "token", "*"})
DECIDING = {"decline": frozenset({"confirm", "capture", "refund"}), "processing": frozenset({"confirm", "refund"})}


@dataclass(frozen=True)
class Fault:
    """One rule.

    Attributes:
        times: How many matching calls it strikes.
        booking_id: Strike only calls about this booking; `intent_id` only calls about this intent; None strikes any.
        delay_seconds: How long `slow` waits before the effect, and a timeout before it drops the connection.
        code: Decline code of `decline`.
        retry_after: Seconds in the `Retry-After` header of `429`.
        chance: How likely a matching call is struck, from 0 to 1; drawn from `seed`, anew after a restart.
    """

    kind: str
    face: str = "*"
    operation: str = "*"
    times: int = 1
    booking_id: str | None = None
    intent_id: str | None = None
    delay_seconds: float = 60.0
    code: str = "generic_decline"
    retry_after: int | None = None
    chance: float = 1.0
    seed: int = 0

    def strikes(self, call: Call) -> bool:
        """Whether the rule matches the call; its remaining uses and its chance are not considered."""
        wanted = {"face": self.face, "operation": self.operation}
        return (
            all(value in ("*", getattr(call, name)) for name, value in wanted.items())
            and self.booking_id in (None, call.booking_id)
            and self.intent_id in (None, call.intent_id)
            and call.operation in DECIDING.get(self.kind, OPERATIONS)
        )


class Faults:
    """The active rules; they survive a restart with their remaining uses."""

    def __init__(self, store: Store) -> None:
        self._store = store
        rows = store.all("SELECT id, remaining, rule FROM faults ORDER BY id")
        self._rules: dict[int, Fault] = {row["id"]: Fault(**json.loads(row["rule"])) for row in rows}
        self._remaining: dict[int, int] = {row["id"]: row["remaining"] for row in rows}
        self._dice = {number: Random(rule.seed) for number, rule in self._rules.items()}

    def add(self, fault: Fault) -> int:
        """Activate a rule; returns its id."""
        rule = json.dumps(asdict(fault))
        number = self._store.insert("faults", remaining=fault.times, rule=rule)
        self._rules[number], self._remaining[number] = fault, fault.times
        self._dice[number] = Random(fault.seed)
        return number

    def all(self) -> list[dict[str, Any]]:
        """The rules as JSON, with their ids and remaining uses."""
        return [asdict(rule) | {"id": n, "remaining": self._remaining[n]} for n, rule in self._rules.items()]

    def remove(self, number: int | None = None) -> int:
        """Remove one rule, or all; returns how many were active."""
        ended = [number] if number in self._rules else [] if number is not None else list(self._rules)
        for each in ended:
            self._end(each)
        return len(ended)

    def take(self, call: Call, kinds: frozenset[str]) -> Fault | None:
        """Use the oldest rule of these kinds that matches the call, subject to its chance."""
        for number, fault in self._rules.items():
            if fault.kind in kinds and fault.strikes(call) and self._dice[number].random() < fault.chance:
                self._use(number)
                call.faults.append(fault.kind)
                return fault
        return None

    def _use(self, number: int) -> None:
        self._remaining[number] -= 1
        if self._remaining[number] == 0:
            self._end(number)
        else:
            self._store.run("UPDATE faults SET remaining = ? WHERE id = ?", self._remaining[number], number)

    def _end(self, number: int) -> None:
        del self._rules[number], self._remaining[number], self._dice[number]
        self._store.run("DELETE FROM faults WHERE id = ?", number)


def read_fault(given: Mapping[str, Any], provider_apis: Set[str]) -> Fault:
    """Parse a rule from the control API's JSON.

    Args:
        given: The JSON object.
        provider_apis: The names that `face` may have.

    Raises:
        ValueError: A field is unknown, missing or out of range; the message names it.
    """
    match = given.get("match") or {}
    fields = {name: value for name, value in given.items() if name != "match"}
    fault = _built(fields | _match_fields(match))
    _check_choice("kind", fault.kind, KINDS)
    _check_choice("face", fault.face, provider_apis | {"*"})
    _check_choice("operation", fault.operation, DECIDING.get(fault.kind, OPERATIONS) | {"*"})
    if not isinstance(fault.code, str):
        raise ValueError("code: a decline code")
    _check_range("times", fault.times, int, 1)
    _check_range("delay_seconds", fault.delay_seconds, (int, float), 0)
    _check_range("seed", fault.seed, int, 0)
    _check_range("chance", fault.chance, (int, float), 0)
    return fault


def _match_fields(match: Any) -> dict[str, Any]:
    if not isinstance(match, dict) or not match.keys() <= {"booking_id", "intent_id"}:
        raise ValueError("match: an object with booking_id, intent_id or both")
    if not all(isinstance(value, str) and value for value in match.values()):
        raise ValueError("match: each value is a non-empty string")
    return match


def _built(fields: dict[str, Any]) -> Fault:
    try:
        return Fault(**fields)
    except TypeError as error:
        raise ValueError(str(error).replace("Fault.__init__() ", "")) from None


def _check_choice(name: str, value: object, choices: Set[str]) -> None:
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}: one of {', '.join(sorted(choices))}")


def _check_range(name: str, value: object, kind: type | tuple[type, ...], least: int) -> None:
    if not isinstance(value, kind) or isinstance(value, bool) or value < least:  # type: ignore[operator]
        raise ValueError(f"{name}: a number of at least {least}")
