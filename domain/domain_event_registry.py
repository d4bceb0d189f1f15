"""What every domain event is, and where each kind registers itself; import it from `domain.domain_events`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, PlainValidator

_BY_TYPE: dict[str, type[DomainEvent]] = {}

DOMAIN_EVENTS: Final[Mapping[str, type[DomainEvent]]] = MappingProxyType(_BY_TYPE)
"""Every domain event's model by its name on the wire; a model adds itself when it is defined."""


class DomainEvent(BaseModel):
    """A fact about one aggregate; `type` is its stable name on the wire, and only a kind of event has one."""

    model_config = ConfigDict(frozen=True)

    topic: ClassVar[str]
    type: str

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register the model if it is a kind of event, and not only what some kinds have in common.

        Raises:
            TypeError: Another model has the same type.
        """
        super().__pydantic_init_subclass__(**kwargs)
        name = cls.model_fields["type"].default
        if not isinstance(name, str):
            return
        if name in _BY_TYPE:
            raise TypeError(f"{cls.__name__} and {_BY_TYPE[name].__name__} both have the type {name}")
        _BY_TYPE[name] = cls


def types_of(base: type[DomainEvent]) -> frozenset[str]:
    """The types of all domain events of one kind so far, such as everything about a booking."""
    return frozenset(name for name, model in _BY_TYPE.items() if issubclass(model, base))


def _read(data: Any) -> DomainEvent:
    model = _BY_TYPE.get(data["type"]) if isinstance(data, Mapping) and "type" in data else None
    if model is None:
        raise ValueError("no domain event has this type")
    return model.model_validate(data)


AnyDomainEvent = Annotated[DomainEvent, PlainValidator(_read)]
"""For reading: a mapping becomes the domain event that its `type` names."""
