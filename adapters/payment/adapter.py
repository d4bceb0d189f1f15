"""The descriptor by which a provider's package describes itself to the product."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from adapters.payment.call_limit import CallLimit
from adapters.payment.settings import GatewaySettings, ProviderSettings
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import Provider

G = TypeVar("G", bound=GatewaySettings)
W = TypeVar("W", bound=ProviderSettings)


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """What a gateway gets besides its provider's own settings.

    Attributes:
        total_seconds: Longest wait for a whole answer, connection included.
        webhook_url: Where the product receives the provider's webhooks.
        payment_window_seconds: How long a buyer may take to pay.
        limit: The call limit; None for no limit.
    """

    total_seconds: float
    webhook_url: str
    payment_window_seconds: float
    limit: CallLimit | None


@dataclass(frozen=True, kw_only=True)
class ProviderAdapter(Generic[G, W]):
    """One provider: what it offers, which settings it needs, and how it is reached.

    Attributes:
        gateway_settings: What workers that pay need.
        webhook_settings: What the API that receives webhooks needs.
        development: What development mode sets where a variable is missing, by field; `{sandbox}` stands for the
            sandbox's address.
        open_gateway: Called inside the event loop; connects to nothing yet. It imports what only the gateway needs,
            since processes that do not pay import this descriptor, too.
        webhook_verifier: What proves the provider's webhooks.
    """

    provider: Provider
    gateway_settings: type[G]
    webhook_settings: type[W]
    development: Mapping[str, str]
    open_gateway: Callable[[G, GatewayOptions], PaymentGateway]
    webhook_verifier: Callable[[W], WebhookVerifier]
