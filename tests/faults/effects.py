"""The table of faults: each effect of a booking, with the required result of each fault, or why it cannot occur.

The tests strike every cell; nothing else says what is tested.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import NamedTuple

from tests.faults.plan import Fault
from tests.faults.scenarios import (
    ACTS,
    ASKS_AGAIN,
    BUYS,
    CALLED_OFF,
    CANCELLED_AS_READ,
    CANCELS,
    DECLINED,
    EXPIRES,
    GETS_LESS_BACK,
    REFUNDED,
    RESERVES_LESS,
    Scenario,
)
from tests.scale import FULL, SEED

GOES_ON = "Temporal hears of the whole step only: see its last effect"
TOGETHER = "a local step: Temporal hears of it only together with the steps after it"
OVER = "the saga is over when this is recorded"
KEEPS_ITS_PART = "a relay or consumer that stands still keeps its part of the stream: tests/workers covers two at work"
NOT_TEMPORAL = "Temporal takes no part in it"


class Effect(NamedTuple):
    """One effect.

    Attributes:
        step: The activity that makes it; for what no activity makes, the process.
        operation: What it is there; see `Point`.
        scenario: How a booking comes to it; the booking ends as the scenario does, whatever strikes.
        refused: How it ends where a refusal changes the scenario.
        more: The step goes on after it.
        together: The next step begins in the same workflow task.
        last: The step is the saga's last.
    """

    name: str
    step: str
    operation: str
    scenario: Scenario
    refused: str = ""
    more: bool = False
    together: bool = False
    last: bool = False

    def why_not(self, fault: Fault) -> str | None:
        """The reason why this cell cannot occur; None if it can."""
        if fault in (Fault.KILLED_UNTOLD, Fault.KILLED_TOLD):
            if self in OUTSIDE:
                return NOT_TEMPORAL
            if self.more:
                return GOES_ON
        if fault is Fault.KILLED_TOLD and self.together:
            return TOGETHER
        if fault is Fault.LATE and self in OUTSIDE:
            return KEEPS_ITS_PART
        return OVER if self.last and fault is Fault.KILLED_TOLD else None

    def ending(self, fault: Fault) -> str:
        """The booking's last status."""
        return self.refused if fault is Fault.REFUSED and self.refused else self.scenario.ending


SAGA = (
    Effect("load the event into Redis", "hold", "redis load", BUYS, more=True),
    Effect("hold in Redis", "hold", "redis hold", BUYS, more=True),
    Effect("claim in Postgres", "hold", "commit .*INSERT INTO bookings", BUYS),
    Effect("start the payment in Postgres", "start_payment", "commit", ASKS_AGAIN, more=True),
    Effect("extend the hold in Redis", "start_payment", "redis extend", BUYS, together=True),
    Effect("open an attempt", "authorize", "commit .*INSERT INTO attempts", BUYS, more=True),
    Effect("create the intent", "authorize", "provider create", BUYS, refused="held", more=True),
    Effect("note the intent", "authorize", "commit .*SET intent_id", BUYS, more=True),
    Effect("confirm the intent", "authorize", "provider confirm", BUYS, refused="held", more=True),
    Effect("note the authorization", "authorize", "commit .*UPDATE attempts SET state", BUYS, together=True),
    Effect("commit the seats", "commit", "commit", BUYS, together=True),
    Effect("count the capture", "capture", "commit .*SET captures_asked", BUYS, more=True),
    Effect("capture the money", "capture", "provider capture", BUYS, refused="failed", more=True),
    Effect("note the capture", "capture", "commit .*UPDATE attempts SET state", BUYS, together=True),
    Effect("issue the tickets", "issue", "commit", BUYS, more=True),
    Effect("mark as sold in Redis", "issue", "redis show", BUYS, last=True),
    Effect("note that the buyer has to act", "authorize", "commit .*UPDATE attempts SET state", ACTS, together=True),
    Effect("let the booking wait for the buyer", "require_action", "commit", ACTS),
    Effect("let the booking go on", "resume_payment", "commit", ACTS, together=True),
    Effect("note the decline", "authorize", "commit .*SET decline_code", DECLINED, more=True),
    Effect("void the declined intent", "authorize", "provider void", DECLINED, more=True),
    Effect("close the declined attempt", "authorize", "commit .*UPDATE attempts SET state", DECLINED, together=True),
    Effect("keep the hold", "keep_hold", "commit", DECLINED),
    Effect("release in Postgres (cancelled)", "release", "commit", CANCELS, more=True),
    Effect("release in Redis (cancelled)", "release", "redis release", CANCELS, last=True),
    Effect("release in Postgres (expired)", "release", "commit", EXPIRES, more=True),
    Effect("release in Redis (expired)", "release", "redis release", EXPIRES, last=True),
    Effect("forbid the tickets", "forbid_tickets", "commit", CALLED_OFF),
    Effect("void the authorization", "return_money", "provider void", CALLED_OFF, more=True),
    Effect("note the void", "return_money", "commit .*UPDATE attempts SET state", CALLED_OFF),
    Effect("release in Postgres (failed)", "release", "commit", CALLED_OFF, more=True),
    Effect("release in Redis (failed)", "release", "redis release", CALLED_OFF, last=True),
    Effect("note the late capture", "return_money", "commit .*UPDATE attempts SET state=", REFUNDED, more=True),
    Effect("refund the money", "return_money", "provider refund", REFUNDED, more=True),
    Effect("note the refund", "return_money", "commit .*closed_at=now", REFUNDED),
    Effect("forbid the tickets of another amount", "forbid_tickets", "commit", RESERVES_LESS),
    Effect("flag the booking for an operator", "flag", "commit", RESERVES_LESS),
    Effect("cancel the version that was read", "mark_cancelled", "commit", CANCELLED_AS_READ),
    Effect("stop the sale of that version", "stop_selling", "commit", CANCELLED_AS_READ, together=True),
    Effect("void the tickets", "accept_refund", "commit .*INSERT INTO refunds", GETS_LESS_BACK, more=True),
    Effect("give the money back", "give_refund", "provider refund", GETS_LESS_BACK, more=True),
    Effect("flag the refund for an operator", "flag_refund", "commit", GETS_LESS_BACK),
    Effect("settle the refund", "settle_refund", "commit", GETS_LESS_BACK, last=True),
)

RELAY = (
    Effect("publish to Kafka", "relay", "kafka publish", BUYS),
    Effect("delete the outbox row", "relay", "outbox delete", BUYS),
)
ANALYTICS = (Effect("count the sale", "analytics", "commit .*INSERT INTO inbox", BUYS),)
SEARCH = (Effect("index the event", "search", "search put", BUYS),)
NOTIFICATION = (Effect("send the mail", "notification", "mail send", BUYS),)
OUTSIDE = (*RELAY, *ANALYTICS, *SEARCH, *NOTIFICATION)


class Cell(NamedTuple):
    effect: Effect
    fault: Fault

    def __str__(self) -> str:
        return f"{self.effect.name} - {self.fault}"


def cells(effects: tuple[Effect, ...]) -> Iterator[Cell]:
    """All cells that can occur."""
    for effect in effects:
        for fault in Fault:
            if effect.why_not(fault) is None:
                yield Cell(effect, fault)


def chosen(effects: tuple[Effect, ...]) -> list[Cell]:
    """All cells if there is time, else one for each effect, drawn by the seed."""
    if FULL:
        return list(cells(effects))
    return [Random(f"{effect.name} {SEED}").choice(list(cells((effect,)))) for effect in effects]
