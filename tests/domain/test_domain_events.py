"""What happened, in words that other services can rely on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter, ValidationError

from domain.any_domain_event import AnyDomainEvent
from domain.bookings import ENDED, BookingStatus
from domain.domain_events import (
    OUTCOME_TYPES,
    TOPICS,
    BookingConfirmed,
    BookingEvent,
    BookingHeld,
    DomainEvent,
    UserRegistered,
)
from domain.schemas import DOMAIN_EVENTS
from tests.workers.outside import a_confirmed_booking, a_published_event

ANY: TypeAdapter[Any] = TypeAdapter(AnyDomainEvent)
PERSONAL = {"email", "phone", "address", "first_name", "last_name", "buyer", "card", "password", "ip"}
A_HOLD = BookingHeld(
    booking_id=uuid4(),
    event_id=uuid4(),
    user_id=uuid4(),
    status=BookingStatus.HELD,
    seats=("A-1-1",),
    quantities={"Standing": 2},
    amount=11000,
    currency="EUR",
    expires_at=datetime(2030, 5, 4, 19, 30, tzinfo=UTC),
)


def all_models(model: type[DomainEvent] = DomainEvent) -> set[type[DomainEvent]]:
    children = {child for each in model.__subclasses__() for child in all_models(each)}
    return children or {model}


def test_every_kind_of_domain_event_can_be_told_apart_by_its_type() -> None:
    assert set(DOMAIN_EVENTS.values()) == all_models()
    assert len(DOMAIN_EVENTS) == len(all_models())


@pytest.mark.parametrize("model", DOMAIN_EVENTS.values(), ids=DOMAIN_EVENTS.keys())
def test_every_domain_event_has_a_topic_and_carries_nothing_personal(model: type[DomainEvent]) -> None:
    assert model.topic in TOPICS
    assert not PERSONAL & set(model.model_json_schema()["properties"])


@pytest.mark.parametrize("event", [A_HOLD, a_confirmed_booking(), a_published_event(), UserRegistered(user_id=uuid4())])
def test_a_domain_event_is_the_same_after_its_way_over_the_wire(event: DomainEvent) -> None:
    assert ANY.validate_json(event.model_dump_json()) == event


def test_each_end_of_a_booking_has_its_outcome_event() -> None:
    assert {f"booking.{status}" for status in ENDED} == OUTCOME_TYPES
    assert all(issubclass(DOMAIN_EVENTS[name], BookingEvent) for name in OUTCOME_TYPES)


def test_a_type_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValidationError):
        ANY.validate_python({"type": "booking.forgotten", "booking_id": str(uuid4())})


def test_a_time_without_a_zone_is_refused() -> None:
    naive = a_confirmed_booking().model_dump() | {"starts_at": datetime(2030, 5, 4, 19, 30)}
    with pytest.raises(ValidationError):
        BookingConfirmed.model_validate(naive)


def test_what_happened_does_not_change() -> None:
    with pytest.raises(ValidationError):
        A_HOLD.amount = 1  # type: ignore[misc]
