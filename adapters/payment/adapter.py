"""The descriptor by which a provider's package tells the product everything about itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from adapters.payment.call_limit import CallLimit
from adapters.payment.settings import S
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import Provider


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
class ProviderAdapter(Generic[S]):
    """One provider: what it offers, what it needs to be told, and how it is reached.

    Attributes:
        settings: The model of its settings.
        open_gateway: Called inside the event loop; connects to nothing yet. It imports what only the gateway needs,
            since processes that do not pay import this descriptor, too.
        webhook_verifier: What proves the provider's webhooks.
    """

    provider: Provider
    settings: type[S]
    open_gateway: Callable[[S, GatewayOptions], PaymentGateway]
    webhook_verifier: Callable[[S], WebhookVerifier]
