"""A random run, drawn from its seed alone and before anything happens: so a seed says what was done."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from tests.providers.checkouts import CHECKOUTS, Checkout

LOST_OR_LATE = ("429", "500_before", "500_saved", "500_after", "timeout_before", "timeout_after", "reset_before",
                "reset_after", "slow")  # fmt: skip
CALLS = ("create", "confirm", "capture", "cancel", "refund", "retrieve", "list")
DECIDED = {"decline": ("confirm", "capture", "refund"), "processing": ("confirm", "refund")}

WISHES = {"pay": 30, "be declined": 15, "say yes": 15, "say no": 8, "walk away": 8, "cancel": 8, "be refunded": 16}
"""What buyers want, by weight."""

SEATS = [f"{section}-{row}-{number}" for section in "AB" for row in range(1, 11) for number in range(1, 11)]


class Trip(NamedTuple):
    """One buyer. Attributes: faults: rules for the sandbox; manner: how the provider's webhooks come."""

    number: int
    checkout: Checkout
    wish: str
    seats: Sequence[str]
    standing: int
    card: str
    faults: Sequence[dict[str, Any]]
    manner: dict[str, float]


class Plan(NamedTuple):
    """Attributes: kills: a worker is killed when so many buyers have come."""

    seed: int
    trips: Sequence[Trip]
    kills: Sequence[int]


def draw(seed: int, buyers: int, kills: int) -> Plan:
    random = Random(f"providers {seed}")
    trips = [_trip(random, number) for number in range(buyers)]
    return Plan(seed, trips, sorted(random.sample(range(1, buyers), kills)))


def _trip(random: Random, number: int) -> Trip:
    checkout = CHECKOUTS[number % len(CHECKOUTS)]
    is_seated = random.random() < 0.5
    return Trip(
        number,
        checkout,
        random.choices(list(WISHES), list(WISHES.values()))[0],
        random.sample(SEATS, random.randint(1, 2)) if is_seated else [],
        0 if is_seated else random.randint(1, 3),
        random.choice(sorted(checkout.declines)),
        [_fault(random, checkout) for _ in range(random.choice((0, 1, 1, 2)))],
        _manner(random),
    )


def _fault(random: Random, checkout: Checkout) -> dict[str, Any]:
    kind = random.choice((*LOST_OR_LATE, *DECIDED))
    return {
        "face": checkout.name,
        "kind": kind,
        "operation": random.choice(DECIDED.get(kind, CALLS)),
        "times": random.randint(1, 3),
        "chance": random.choice((0.5, 1.0)),
        "seed": random.randrange(1_000_000),
        "delay_seconds": 1.0 if kind == "slow" else 4.0,
    }


def _manner(random: Random) -> dict[str, float]:
    manners: tuple[dict[str, float], ...] = ({}, {"drop": 0.5}, {"double": 1.0, "delay_seconds": 5.0}, {"drop": 1.0})
    return random.choice(manners) | {"seed": random.randrange(1_000_000)}
