"""The settings of one payment provider, by which a test signs or calls as the product does."""

from __future__ import annotations

from adapters.payment.iyzico import IYZICO, IyzicoSettings
from adapters.payment.payu import PAYU, PayUSettings
from adapters.payment.settings import read
from adapters.payment.stripe import STRIPE, StripeSettings
from config.settings import Settings


def stripe_settings(settings: Settings) -> StripeSettings:
    """Stripe's."""
    return read(StripeSettings, STRIPE.name, settings.provider_variables, settings.development_sandbox)


def iyzico_settings(settings: Settings) -> IyzicoSettings:
    """iyzico's."""
    return read(IyzicoSettings, IYZICO.name, settings.provider_variables, settings.development_sandbox)


def payu_settings(settings: Settings) -> PayUSettings:
    """PayU's."""
    return read(PayUSettings, PAYU.name, settings.provider_variables, settings.development_sandbox)


def webhook_secret(settings: Settings) -> str:
    """The secret that signs Stripe's webhooks."""
    return stripe_settings(settings).webhook_secrets[0].get_secret_value()
