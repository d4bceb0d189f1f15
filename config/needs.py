"""What each process needs: the databases that it opens, and the secrets without which it does not start.

The secrets of the payment providers are not here: their own packages say what a gateway and a webhook need.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import reduce
from typing import Final, Literal, NamedTuple

from config.settings import Service, Settings

Verb = Literal["serve", "work", "relay", "consume"]


class Needs(NamedTuple):
    """Databases by their service, and secrets by the names of their settings."""

    databases: frozenset[Service] = frozenset()
    secrets: frozenset[str] = frozenset()

    def also(self, other: Needs) -> Needs:
        """What both need."""
        return Needs(self.databases | other.databases, self.secrets | other.secrets)


def _needs(*secrets: str, database: Service | None = None) -> Needs:
    return Needs(frozenset({database} if database else ()), frozenset(secrets))


_PAYMENT_WORK: Final = _needs("temporal_payload_keys", "internal_token", database="payment")

NEEDS: Final[Mapping[Verb, Mapping[str, Needs]]] = {
    "serve": {
        "identity": _needs(
            "token_key_secret",
            "personal_data_keys",
            "address_secret",
            "audit_log_secret",
            "internal_token",
            database="identity",
        ),
        "catalogue": _needs("temporal_payload_keys", "internal_token", database="catalogue"),
        "reservation": _needs("temporal_payload_keys", "internal_token", "booking_id_secret", database="reservation"),
        "payment": _needs("temporal_payload_keys", "internal_token", database="payment"),
        "search": _needs(),
        "codec": _needs("temporal_payload_keys", "internal_token"),
    },
    "work": {
        "catalogue": _needs("temporal_payload_keys", database="catalogue"),
        "reservation": _needs("temporal_payload_keys", database="reservation"),
        "payment": _PAYMENT_WORK,
    },
    "relay": {
        "identity": _needs(database="identity"),
        "catalogue": _needs(database="catalogue"),
        "reservation": _needs(database="reservation"),
        "payment": _needs(database="payment"),
    },
    "consume": {
        "notification": _needs("internal_token"),
        "search": _needs(),
        "analytics": _needs(database="analytics"),
    },
}
"""By the command that starts the process, and by the services that it is started for."""


def needs_of(settings: Settings, verb: Verb, services: Collection[str]) -> Needs:
    """What a process needs that is started for these services."""
    needs = reduce(Needs.also, (NEEDS[verb][service] for service in services), Needs())
    pays = verb == "work" and "reservation" in services and settings.payment_steps == "local"
    return needs.also(_PAYMENT_WORK) if pays else needs


def settings_of_process(verb: Verb, services: Collection[str]) -> Settings:
    """The settings of the process that a command starts, checked for what it needs.

    Raises:
        ValueError: Something that it needs is not set.
    """
    given = Settings()
    needs = needs_of(given, verb, services)
    given.require(needs.secrets, needs.databases)
    return given
