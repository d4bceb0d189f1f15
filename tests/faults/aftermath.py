"""The checks of an ended booking: at the provider, in the event's seats, and by the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from sqlalchemy.exc import OperationalError

from audit.invariants import DELIVERIES, INVARIANTS
from audit.run import audit
from audit.snapshot import Invariant
from config.settings import Settings
from tests.faults.report import Outcome, outcome
from tests.faults.scenarios import AMOUNT, SEAT, WITHIN
from tests.platform_client import PlatformClient
from tests.waiting import eventually

C = TypeVar("C")


async def money_and_places_are_right(platform: PlatformClient, event: str, booking: str, ending: str) -> None:
    """The provider has exactly the money owed, in one intent, and the seat fits the status of the booking."""
    intents = await platform.provider.intents(booking)
    taken = [kept for intent in intents if (kept := intent["captured"] - intent["refunded"])]
    assert taken == ([AMOUNT] if ending == "confirmed" else []), intents
    assert not any(intent["held"] for intent in intents), intents
    seat = await eventually(lambda: platform.seat(event, SEAT))  # an API among dozens of processes may have to say 503
    assert seat == {"confirmed": "sold", "held": "held"}.get(ending, "available")


async def the_saga_is_over(platform: PlatformClient, booking: str) -> None:
    """Wait until the workflow has closed."""

    async def closed() -> bool:
        return (await platform.saga(booking).describe()).close_time is not None

    await eventually(closed, within=WITHIN)


async def the_audit_is_clean(settings: Settings, *events: str, invariants: Sequence[Invariant] = INVARIANTS) -> None:
    """The audit of these events is clean; on a busy machine the connection is retried."""

    async def clean() -> bool:
        try:
            findings = await audit(settings, [UUID(event) for event in events], invariants)
        except OperationalError as error:
            raise AssertionError("the audit could not connect") from error
        if findings:
            raise RuntimeError("; ".join(map(str, findings)))
        return True

    await eventually(clean)


async def the_messages_are_right(settings: Settings, events: Mapping[str, C], outcomes: dict[C, Outcome]) -> None:
    """Audit the messages of many cells at once, since each audit reads Kafka; what is found troubles all of them."""
    audited = await outcome("messages", _the_messages(settings, events))
    if audited.trouble:
        for cell in events.values():
            outcomes[cell] = outcomes[cell]._replace(trouble=outcomes[cell].trouble or audited.trouble)


async def _the_messages(settings: Settings, events: Mapping[str, C]) -> str:
    await the_audit_is_clean(settings, *events, invariants=DELIVERIES)
    return "audited"
