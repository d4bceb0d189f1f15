"""The plan of faults, drawn from the seed alone, so that a seed reproduces them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

BETWEEN = 3.0
"""Average seconds between two faults."""

KILLED = (
    *("work", "work-2", "work-far", "api", "api-far", "relay", "relay-far", "consume", "consume-far"),
    *("redis", "postgres", "temporal", "kafka", "elasticsearch", "mail", "sandbox"),
)
FROZEN = ("work", "work-2", "api", "relay", "consume", "redis", "postgres", "temporal", "kafka", "sandbox")
LINES = ("postgres", "redis", "temporal", "kafka", "elasticsearch", "smtp", "sandbox")

BAD_LINES = ("slow", "cut", "black_hole", "reset")
PROVIDER_FAULTS = (
    *("429", "500_before", "500_saved", "500_after", "timeout_before", "timeout_after", "reset_before", "reset_after"),
    *("slow", "decline"),
)
CALLS = ("create", "confirm", "capture", "cancel", "refund", "retrieve")
DECIDING_CALLS = ("confirm", "capture")


class Strike(NamedTuple):
    """One fault.

    Attributes:
        at: Seconds after the beginning.
        kind: `kill` (SIGKILL), `freeze` (SIGSTOP), `empty` (FLUSHALL), `provider`, or what is done to a line.
        target: A process of the stack, or the server that a line leads to.
        lasts: Seconds until it is started, thawed or healed again.
        fault: The provider's fault, as its control API takes it.
    """

    at: float
    kind: str
    target: str
    lasts: float
    fault: dict[str, Any] | None = None

    @property
    def is_on_line(self) -> bool:
        return self.kind in BAD_LINES

    def __str__(self) -> str:
        about = f" {self.fault['kind']} at {self.fault['operation']} {self.fault['times']} times" if self.fault else ""
        return f"{self.at:7.2f}  {self.kind:10} {self.target:13} for {self.lasts:.2f} s{about}"


def draw(seed: int, seconds: float) -> list[Strike]:
    """Draw the plan; kinds come from a shuffled deck, so that a long run has each of them."""
    random = Random(f"sabotage {seed}")
    at, timetable = random.expovariate(1 / BETWEEN), []
    cards = _cards(random)
    while at < seconds:
        kind, target = next(cards)
        timetable.append(_strike(random, at, kind, target))
        at += random.expovariate(1 / BETWEEN)
    return timetable


def _cards(random: Random) -> Iterator[tuple[str, str]]:
    while True:
        deck = [("kill", name) for name in KILLED]
        deck += [("freeze", name) for name in random.sample(FROZEN, 4)]
        deck += [(random.choice(BAD_LINES), server) for server in LINES]
        deck += [("provider", "sandbox")] * 6 + [("empty", "redis")]
        random.shuffle(deck)
        yield from deck


def _strike(random: Random, at: float, kind: str, target: str) -> Strike:
    fault: dict[str, Any] | None = None
    if kind == "provider":
        fault = {"kind": random.choice(PROVIDER_FAULTS), "times": random.randint(1, 8), "delay_seconds": 4}
        fault["operation"] = random.choice(DECIDING_CALLS if fault["kind"] == "decline" else CALLS)
        lasts = random.uniform(5, 15)
    elif kind == "empty":
        lasts = 0.0
    else:
        lasts = random.uniform(0.2, 8)
    return Strike(round(at, 2), kind, target, round(lasts, 2), fault)
