"""Domain events as CloudEvents 1.0 in Kafka's binary mode."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError

from adapters.kafka.client import Headers
from adapters.kafka.subscriber import IncomingMessage
from domain.domain_events import DOMAIN_EVENTS, DomainEvent


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """A domain event in its envelope.

    Attributes:
        id: The domain event's own id, the same in each delivery.
        sequence: Its position among the domain events of the aggregate `subject`.
        traceparent: W3C trace context of the request that caused it.
    """

    id: UUID
    source: str
    time: datetime
    subject: UUID
    sequence: int
    data: DomainEvent
    traceparent: str | None = None


class Undecodable(ValueError):
    """A message is not one of our domain events. The error text has no contents of the message."""


def cloud_event_headers(
    *,
    id: UUID,
    source: str,
    type: str,
    time: datetime,
    subject: UUID,
    sequence: int,
    traceparent: str | None,
) -> Headers:
    """The headers of CloudEvents 1.0 in Kafka's binary mode."""
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": str(id),
        "ce_source": source,
        "ce_type": type,
        "ce_time": time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "ce_subject": str(subject),
        "ce_sequence": str(sequence),
        "content-type": "application/json",
    }
    if traceparent is not None:
        attributes["traceparent"] = traceparent
    return tuple((name, value.encode()) for name, value in attributes.items())


def read_cloud_event(message: IncomingMessage) -> CloudEvent | None:
    """Decode a message; None if this version does not know its type, because producers may be newer.

    Raises:
        Undecodable: An attribute is missing or malformed, or the body does not fit its type.
    """
    try:
        headers = {name: value.decode() for name, value in message.headers if _is_attribute(name)}
        model = DOMAIN_EVENTS.get(headers["ce_type"])
        if model is None:
            return None
        return CloudEvent(
            id=UUID(headers["ce_id"]),
            source=headers["ce_source"],
            time=datetime.fromisoformat(headers["ce_time"]).astimezone(UTC),
            subject=UUID(headers["ce_subject"]),
            sequence=int(headers["ce_sequence"]),
            data=model.model_validate_json(message.value or b""),
            traceparent=headers.get("traceparent"),
        )
    except KeyError as error:
        raise Undecodable(f"no header {error.args[0]}") from error
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['type']}" for fault in error.errors(include_input=False)]
        raise Undecodable(f"body does not fit: {', '.join(faults[:5])}") from error
    except ValueError as error:
        raise Undecodable("a header is malformed") from error


def _is_attribute(header: str) -> bool:
    return header.startswith("ce_") or header == "traceparent"
