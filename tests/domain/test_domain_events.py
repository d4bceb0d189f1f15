"""What happened, in words that other services can rely on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter, ValidationError, create_model

from domain import domain_event_registry
from domain.bookings import ENDED, BookingStatus
from domain.domain_events import (
    DOMAIN_EVENTS,
    OUTCOME_TYPES,
    TOPICS,
    AnyDomainEvent,
    BookingConfirmed,
    BookingEvent,
    BookingHeld,
    DomainEvent,
    UserRegistered,
)
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
    defined = [each for each in model.__subclasses__() if each.__module__.startswith("domain.")]
    return {child for each in defined for child in all_models(each)} or {model}


def test_every_kind_of_domain_event_registers_itself_by_its_type() -> None:
    assert set(DOMAIN_EVENTS.values()) == all_models()
    assert all(model.model_fields["type"].default == name for name, model in DOMAIN_EVENTS.items())


def test_a_new_kind_of_domain_event_needs_no_line_but_its_own_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(domain_event_registry, "_BY_TYPE", dict(DOMAIN_EVENTS))
    admired = create_model("BookingAdmired", __base__=BookingEvent, type=(str, "booking.admired"), stars=(int, ...))
    event = {**A_HOLD.model_dump(include={"booking_id", "event_id", "user_id", "status"}), "stars": 5}
    assert ANY.validate_python(event | {"type": "booking.admired"}) == admired(**event)


def test_two_kinds_of_domain_event_cannot_have_one_type() -> None:
    with pytest.raises(TypeError, match="BookingHeld"):
        create_model("Another", __base__=BookingEvent, type=(str, "booking.held"))
    assert DOMAIN_EVENTS["booking.held"] is BookingHeld


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
    naive = a_confirmed_booking().model_dump() | {"starts_at": datetime(2030, 5, 4, 19, 30)}  # noqa: DTZ001 - on purpose
    with pytest.raises(ValidationError):
        BookingConfirmed.model_validate(naive)


def test_what_happened_does_not_change() -> None:
    with pytest.raises(ValidationError):
        A_HOLD.amount = 1  # type: ignore[misc]
