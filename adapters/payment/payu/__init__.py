"""PayU (REST API 2.1 of PayU GPO Europe): buyers pay on its page, which reserves the money; it is captured later."""

from __future__ import annotations

from pydantic import Field

from adapters.payment.adapter import GatewayOptions, ProviderAdapter
from adapters.payment.settings import GatewaySettings, ProviderSettings, RotatedSecrets, Secret
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import AmountLimits, Provider

_CURRENCIES = ("CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "NOK", "PLN", "RON", "SEK", "UAH", "USD")

# Each currency has two decimals, at PayU as in ISO 4217: its minor unit is ours. PayU documents no limits for cards;
# those of bank transfers end at 999,999.99.
_LIMITS = AmountLimits(minimum=1, maximum=99_999_999, decimals=2)

PAYU = Provider(
    name="payu",
    currencies=dict.fromkeys(_CURRENCIES, _LIMITS),
    has_own_page=True,
    # PayU's REST API lists no orders. Its statements are files that PayU has to set up for a company.
    has_settlement_report=False,
    takes_buyer=True,
    page_lifetime=None,  # PayU cancels an order that was not paid in its time
)


class PayUGatewaySettings(GatewaySettings):
    """What the gateway needs."""

    api_base: str = Field(
        default="https://secure.payu.com", description="The address of PayU's API; in development mode the sandbox."
    )
    pos_id: Secret = Field(
        description="The point of sale, whose automatic receive must be off. It is also the id of the OAuth client."
    )
    client_secret: Secret = Field(description="The secret of the OAuth client.")


class PayUWebhookSettings(ProviderSettings):
    """What webhooks need."""

    second_key: RotatedSecrets = Field(
        description="Proves PayU's notifications. Two, comma-separated, during a replacement."
    )


def _open_gateway(settings: PayUGatewaySettings, options: GatewayOptions) -> PaymentGateway:
    from adapters.payment.payu.gateway import PayUGateway

    return PayUGateway(
        settings.pos_id.get_secret_value(),
        settings.client_secret.get_secret_value(),
        notify_url=options.webhook_url,
        validity_seconds=int(options.payment_window_seconds),
        base_url=settings.api_base,
        total_seconds=options.total_seconds,
        limit=options.limit,
    )


def _webhook_verifier(settings: PayUWebhookSettings) -> WebhookVerifier:
    from adapters.payment.payu.webhooks import PayUWebhooks

    return PayUWebhooks([secret.get_secret_value() for secret in settings.second_key])


ADAPTER = ProviderAdapter(
    provider=PAYU,
    gateway_settings=PayUGatewaySettings,
    webhook_settings=PayUWebhookSettings,
    development={
        "api_base": "{sandbox}/payu",
        "pos_id": "300746",
        "client_secret": "sandbox-client-secret",
        "second_key": "sandbox-second-key",
    },
    open_gateway=_open_gateway,
    webhook_verifier=_webhook_verifier,
)
