"""The payment providers of the product: the only list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from adapters.payment import iyzico, payu, stripe
from adapters.payment.adapter import ProviderAdapter
from adapters.payment.settings import ProviderSettings, read
from domain.payment_gateway import WebhookVerifier
from domain.problems import ProblemType, Refused
from domain.providers import Provider

ADAPTERS: Mapping[str, ProviderAdapter[Any]] = {
    adapter.provider.name: adapter for adapter in (stripe.ADAPTER, iyzico.ADAPTER, payu.ADAPTER)
}
PROVIDERS: Mapping[str, Provider] = {name: adapter.provider for name, adapter in ADAPTERS.items()}


def find_provider(name: str) -> Provider:
    """Return the provider with this name.

    Raises:
        Refused: There is none.
    """
    if name not in PROVIDERS:
        raise Refused(ProblemType.UNKNOWN_PROVIDER, f"Known providers: {', '.join(PROVIDERS)}.", field="provider")
    return PROVIDERS[name]


def read_settings(variables: Mapping[str, SecretStr], sandbox_url: str | None) -> Mapping[str, ProviderSettings]:
    """Read the settings of all providers; the arguments are those of `adapters.payment.settings.read`.

    Raises:
        ValueError: Variables are missing or wrong. The message names all of them.
    """
    found: dict[str, ProviderSettings] = {}
    wrong = list[str]()
    for name, adapter in ADAPTERS.items():
        try:
            found[name] = read(adapter.settings, name, variables, sandbox_url)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError(f"{'; '.join(wrong)} (or set SEATWRIGHT_MODE=development)")
    return found


def webhook_verifiers(settings: Mapping[str, ProviderSettings]) -> Mapping[str, WebhookVerifier]:
    """Return what proves the webhooks of each provider."""
    return {name: adapter.webhook_verifier(settings[name]) for name, adapter in ADAPTERS.items()}


def total_calls_per_second(settings: Mapping[str, ProviderSettings]) -> float | None:
    """Return the sum of all providers' call limits; None where one provider has no limit."""
    limits = [each.calls_per_second for each in settings.values()]
    return sum(limit for limit in limits if limit) if all(limits) else None
