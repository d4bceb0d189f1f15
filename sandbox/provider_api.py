"""What a provider API of the sandbox is made of, and the descriptor by which its package registers it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aiohttp import web

from sandbox.calls import CallLog
from sandbox.faults import Faults
from sandbox.intents import Intents
from sandbox.ledger import Ledger
from sandbox.store import Store
from sandbox.webhooks import Webhooks


class ProviderApi(Protocol):
    """The API of one provider."""

    intents: Intents

    def routes(self) -> list[web.RouteDef]:
        """Return all its routes, its payment pages included."""


@dataclass(frozen=True, kw_only=True)
class EndpointDefaults:
    """The shop's webhook endpoint, as it is configured at the provider from the beginning.

    Attributes:
        types: The types of messages that the shop receives.
        variable: The environment variable with the secrets that sign messages, with a comma between.
        secrets: What signs messages where the variable is not set.
    """

    types: tuple[str, ...]
    variable: str
    secrets: str


@dataclass(frozen=True, kw_only=True)
class Registration:
    """One provider API.

    Attributes:
        name: In faults, in the log of calls and in the shop's webhook address.
        build: Makes it over the parts that all provider APIs share.
        endpoint: None where each payment names the address of its own messages.
    """

    name: str
    build: Callable[[Store, Ledger, Faults, CallLog, Webhooks], ProviderApi]
    endpoint: EndpointDefaults | None = None
