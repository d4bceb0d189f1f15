"""iyzico: buyers pay on its Checkout Form, which reserves the money; it is captured later."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from adapters.payment.adapter import GatewayOptions, ProviderAdapter
from adapters.payment.settings import GatewaySettings, ProviderSettings, Secret
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import AmountLimits, Provider

_LIMITS = AmountLimits(minimum=1, maximum=99_999_999, decimals=2)
"""iyzico documents no limits; a merchant's contract and the banks set them. Eight digits are what cards bear."""

IYZICO = Provider(
    name="iyzico",
    currencies=dict.fromkeys(("TRY", "USD", "EUR", "GBP"), _LIMITS),
    has_own_page=True,
    has_settlement_report=True,
    takes_buyer=True,
    # `tokenExpireTime` is half an hour; the rest is for a buyer who has just begun to pay.
    page_lifetime=timedelta(hours=1),
)


class IyzicoWebhookSettings(ProviderSettings):
    """What webhooks need."""

    secret_key: Secret = Field(description="Signs our calls, and proves iyzico's answers and notifications.")


class IyzicoGatewaySettings(IyzicoWebhookSettings, GatewaySettings):
    """What the gateway needs."""

    api_base: str = Field(
        default="https://api.iyzipay.com",
        description="The address of iyzico's API, without a path, which is signed; in development mode the sandbox.",
    )
    api_key: Secret = Field(description="The API key of the merchant.")
    quiet_seconds: float = Field(
        default=300.0,
        gt=0,
        description="How long a refund without an answer may run at iyzico. Until then it is not asked for again.",
        json_schema_extra={"unit": "s"},
    )


def _open_gateway(settings: IyzicoGatewaySettings, options: GatewayOptions) -> PaymentGateway:
    from adapters.payment.iyzico.gateway import IyzicoGateway

    return IyzicoGateway(
        settings.api_key.get_secret_value(),
        settings.secret_key.get_secret_value(),
        base_url=settings.api_base,
        total_seconds=options.total_seconds,
        quiet_seconds=settings.quiet_seconds,
        limit=options.limit,
    )


def _webhook_verifier(settings: IyzicoWebhookSettings) -> WebhookVerifier:
    from adapters.payment.iyzico.webhooks import IyzicoWebhooks

    return IyzicoWebhooks(settings.secret_key.get_secret_value())


ADAPTER = ProviderAdapter(
    provider=IYZICO,
    gateway_settings=IyzicoGatewaySettings,
    webhook_settings=IyzicoWebhookSettings,
    development={
        "api_base": "{sandbox}",
        "api_key": "sandbox-api-key",
        "secret_key": "sandbox-secret-key",
    },
    open_gateway=_open_gateway,
    webhook_verifier=_webhook_verifier,
)
