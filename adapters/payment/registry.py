"""The payment providers of the product: the only list of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import SecretStr

from adapters.payment import iyzico, payu, stripe
from adapters.payment.adapter import ProviderAdapter
from adapters.payment.settings import GatewaySettings, S, read
from domain.payment_gateway import WebhookVerifier
from domain.problems import ProblemType, Refused
from domain.providers import Provider

ADAPTERS: Mapping[str, ProviderAdapter[Any, Any]] = {
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


def read_gateway_settings(variables: Mapping[str, SecretStr], sandbox_url: str | None) -> Mapping[str, GatewaySettings]:
    """Read what the gateways of all providers need.

    Args:
        variables: By their names in lower case, without `SEATWRIGHT_`.
        sandbox_url: The sandbox's address in development mode; None outside of it.

    Raises:
        ValueError: Variables are missing or wrong. The message names all of them.
    """
    models = {name: adapter.gateway_settings for name, adapter in ADAPTERS.items()}
    return _read_all(models, variables, sandbox_url)


def open_webhook_verifiers(
    variables: Mapping[str, SecretStr], sandbox_url: str | None
) -> Mapping[str, WebhookVerifier]:
    """Return what proves the webhooks of each provider; arguments and errors are those of `read_gateway_settings`."""
    models = {name: adapter.webhook_settings for name, adapter in ADAPTERS.items()}
    settings = _read_all(models, variables, sandbox_url)
    return {name: adapter.webhook_verifier(settings[name]) for name, adapter in ADAPTERS.items()}


def total_calls_per_second(settings: Mapping[str, GatewaySettings]) -> float | None:
    """Return the sum of all providers' call limits; None where one provider has no limit."""
    limits = [each.calls_per_second for each in settings.values()]
    return sum(limit for limit in limits if limit) if all(limits) else None


def read_one(model: type[S], name: str, variables: Mapping[str, SecretStr], sandbox_url: str | None) -> S:
    """Read settings of one provider.

    Raises:
        ValueError: A variable is missing or wrong.
    """
    development = ADAPTERS[name].development.items()
    if sandbox_url is None:
        return read(model, name, variables, {}, published=frozenset(text for _, text in development))
    return read(model, name, variables, {field: text.replace("{sandbox}", sandbox_url) for field, text in development})


def _read_all(
    models: Mapping[str, type[S]], variables: Mapping[str, SecretStr], sandbox_url: str | None
) -> Mapping[str, S]:
    found: dict[str, S] = {}
    wrong = list[str]()
    for name, model in models.items():
        try:
            found[name] = read_one(model, name, variables, sandbox_url)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError(f"{'; '.join(wrong)} (or set SEATWRIGHT_MODE=development)")
    return found
