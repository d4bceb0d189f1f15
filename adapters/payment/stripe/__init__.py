"""Stripe: payment intents that are confirmed with the buyer's card token and captured later."""

from __future__ import annotations

from pydantic import Field

from adapters.payment.adapter import GatewayOptions, ProviderAdapter
from adapters.payment.settings import GatewaySettings, ProviderSettings, RotatedSecrets, Secret
from domain.money import exponent, rescale, round_up
from domain.payment_gateway import PaymentGateway, WebhookVerifier
from domain.providers import AmountLimits, Provider

# docs.stripe.com/currencies, presentment currencies
_CURRENCIES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN
MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE
SOS SRD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW
"""
_UNLIKE_ISO_4217 = {"ISK": 2, "UGX": 2, "MGA": 0}
"""The decimals of Stripe's unit where they are not those of ISO 4217 (same page, zero-decimal and special cases)."""

_THREE_DECIMALS_STEP = 10
"""Amounts of three-decimal currencies have to end in 0 (same page)."""

# Same page, minimum and maximum charge amounts, in Stripe's units. For other currencies the minimum depends on the
# currency of the account's bank: it is what 0.50 USD are, which only Stripe knows, and then only Stripe refuses.
_MINIMA = {
    "AED": 200, "CZK": 1500, "DKK": 250, "GBP": 30, "HKD": 400, "HUF": 17_500, "MXN": 1000, "MYR": 200, "NOK": 300,
    "PLN": 200, "RON": 200, "SEK": 300, "THB": 1000,
}  # fmt: skip
_MINIMUM_ELSEWHERE = 50
# Where the page's number of digits and its example disagree, the smaller of both.
_DIGITS = {"IDR": 12, "LBP": 11, "COP": 10, "HUF": 10, "JPY": 10, "INR": 9}
_DIGITS_ELSEWHERE = 8


def _limits(currency: str) -> AmountLimits:
    """Stripe's limits in our minor units."""
    decimals = _UNLIKE_ISO_4217.get(currency, exponent(currency))

    def ours(units: int) -> int:
        return int(rescale(units, decimals, exponent(currency)))

    step = _THREE_DECIMALS_STEP if decimals == 3 else max(1, ours(1))
    most = ours(10 ** _DIGITS.get(currency, _DIGITS_ELSEWHERE) - 1)
    least = max(1, ours(_MINIMA.get(currency, _MINIMUM_ELSEWHERE)))
    return AmountLimits(minimum=round_up(least, step), maximum=most - most % step, step=step, decimals=decimals)


STRIPE = Provider(
    name="stripe",
    currencies={currency: _limits(currency) for currency in _CURRENCIES.split()},
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
