"""Stripe: payment intents that are confirmed with the buyer's card token and captured later."""

from __future__ import annotations

from pydantic import Field

from adapters.payment.adapter import GatewayOptions, ProviderAdapter
from adapters.payment.settings import GatewaySettings, ProviderSettings, RotatedSecrets, Secret
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import Provider

# docs.stripe.com/currencies, presentment currencies
_CURRENCIES = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN
MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE
SOS SRD STD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""

STRIPE = Provider(
    name="stripe",
    currencies=frozenset(_CURRENCIES.split()),
    has_own_page=False,
    has_settlement_report=True,
)


class StripeGatewaySettings(GatewaySettings):
    """What the gateway needs."""

    api_base: str = Field(
        default="https://api.stripe.com", description="The address of Stripe's API; in development mode the sandbox."
    )
    api_key: Secret = Field(description="A secret or restricted key.")


class StripeWebhookSettings(ProviderSettings):
    """What webhooks need."""

    webhook_secrets: RotatedSecrets = Field(
        description="The signing secret of the webhook endpoint. Two, comma-separated, during a replacement."
    )


def _open_gateway(settings: StripeGatewaySettings, options: GatewayOptions) -> PaymentGateway:
    from adapters.payment.stripe.gateway import StripeGateway

    return StripeGateway(
        settings.api_key.get_secret_value(),
        base_url=settings.api_base,
        total_seconds=options.total_seconds,
        limit=options.limit,
    )


def _webhook_verifier(settings: StripeWebhookSettings) -> WebhookVerifier:
    from adapters.payment.stripe.webhooks import StripeWebhooks

    return StripeWebhooks([secret.get_secret_value() for secret in settings.webhook_secrets])


ADAPTER = ProviderAdapter(
    provider=STRIPE,
    gateway_settings=StripeGatewaySettings,
    webhook_settings=StripeWebhookSettings,
    development={
        "api_base": "{sandbox}",
        "api_key": "sk_test_seatwright",
        "webhook_secrets": "whsec_seatwright",
    },
    open_gateway=_open_gateway,
    webhook_verifier=_webhook_verifier,
)
