"""The settings of one payment provider, by which a test signs or calls as the product does."""

from __future__ import annotations

from pydantic import SecretStr

from adapters.payment.iyzico import IYZICO, IyzicoGatewaySettings
from adapters.payment.payu import PAYU, PayUWebhookSettings
from adapters.payment.registry import ADAPTERS, read_one
from adapters.payment.settings import ProviderSettings
from adapters.payment.stripe import STRIPE, StripeGatewaySettings, StripeWebhookSettings
from config.settings import Settings


def secrets_of(model: type[ProviderSettings]) -> set[str]:
    """The fields that are secrets."""
    return {name for name, info in model.model_fields.items() if "SecretStr" in str(info.annotation)}


def provider_secrets(verb: str, service: str) -> set[str]:
    """The providers' secrets, as settings are named, that a process needs besides `config.needs`."""
    if service != "payment" or verb not in ("serve", "work"):
        return set()
    return {
        f"{name}_{field}"
        for name, adapter in ADAPTERS.items()
        for field in secrets_of(adapter.webhook_settings if verb == "serve" else adapter.gateway_settings)
    }


def given(names: set[str]) -> dict[str, SecretStr]:
    """Variables of the providers with these names."""
    return {name: SecretStr(f"given-{name}") for name in names}


def stripe_settings(settings: Settings) -> StripeGatewaySettings:
    """Stripe's."""
    return read_one(StripeGatewaySettings, STRIPE.name, settings.provider_variables, settings.development_sandbox)


def iyzico_settings(settings: Settings) -> IyzicoGatewaySettings:
    """iyzico's."""
    return read_one(IyzicoGatewaySettings, IYZICO.name, settings.provider_variables, settings.development_sandbox)


def payu_settings(settings: Settings) -> PayUWebhookSettings:
    """PayU's, of its notifications."""
    return read_one(PayUWebhookSettings, PAYU.name, settings.provider_variables, settings.development_sandbox)


def webhook_secret(settings: Settings) -> str:
    """The secret that signs Stripe's webhooks."""
    own = read_one(StripeWebhookSettings, STRIPE.name, settings.provider_variables, settings.development_sandbox)
    return own.webhook_secrets[0].get_secret_value()
