"""What the brokers have to be set to, beyond the topics that `migrate` makes."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # `__all__` lacks most of them
    AdminClient,
    ConfigResource,
    ResourceType,
)

from adapters.kafka.client import EVENTS_KEPT

OFFSETS_KEPT: Final = EVENTS_KEPT + timedelta(days=1)
"""How long the offsets of a consumer group have to be kept after its last member has left.

Without its offsets a group reads each topic from the beginning: then notification sends all mails once more.
"""

_SETTING: Final = "offsets.retention.minutes"
_TIMEOUT: Final = 30.0  # seconds for one answer


def fault_of_offsets(bootstrap: str, needed: timedelta = OFFSETS_KEPT) -> str | None:
    """What an operator has to change where brokers forget offsets too early, or do not say when; None if all is well.

    Raises:
        KafkaException: No broker answers.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap})
    brokers = admin.list_topics(timeout=_TIMEOUT).brokers
    asked = [ConfigResource(ResourceType.BROKER, str(id)) for id in brokers]
    try:
        settings = [answer.result(timeout=_TIMEOUT) for answer in admin.describe_configs(asked).values()]
        kept = min(timedelta(minutes=int(each[_SETTING].value)) for each in settings)
    except (KafkaException, KeyError) as error:
        return f"Kafka does not say what its {_SETTING} is ({error}). {_rule(needed)}"
    if kept >= needed:
        return None
    return f"Kafka's {_SETTING} is {kept // timedelta(minutes=1)}. {_rule(needed)}"


def _rule(needed: timedelta) -> str:
    return (
        f"It has to be {needed // timedelta(minutes=1)} or more on each broker: after a shorter time without a "
        "process, a consumer reads all events again, and sends their mails again."
    )
