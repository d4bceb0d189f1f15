"""The payment providers that a buyer may choose, and their currencies."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.problems import ProblemType, Refused


class Provider(NamedTuple):
    """One provider.

    Attributes:
        has_own_page: Whether the buyer chooses a method on the provider's page; otherwise the command names one.
        currencies: ISO 4217 codes that it accepts.
    """

    name: str
    has_own_page: bool
    currencies: frozenset[str]


# docs.stripe.com/currencies, presentment currencies
_OF_STRIPE = """
AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CLP
CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR
ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN
MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE
SOS SRD STD SZL THB TJS TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VND VUV WST XAF XCD XOF XPF YER ZAR ZMW
"""

STRIPE = Provider("stripe", has_own_page=False, currencies=frozenset(_OF_STRIPE.split()))
IYZICO = Provider("iyzico", has_own_page=True, currencies=frozenset({"TRY", "USD", "EUR", "GBP"}))

PAYU = Provider(
    "payu",
    has_own_page=True,
    currencies=frozenset({"BGN", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "NOK", "PLN", "RON", "SEK", "UAH", "USD"}),
)

PROVIDERS = {provider.name: provider for provider in (STRIPE, IYZICO, PAYU)}


def check_method(name: str, payment_method: str | None) -> None:
    """Check that a method is given exactly if the provider has no page of its own.

    Raises:
        Refused: The method is missing or superfluous, or there is no such provider.
    """
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refused(ProblemType.UNKNOWN_PROVIDER, f"Known providers: {', '.join(PROVIDERS)}.", field="provider")
    if provider.has_own_page == (payment_method is None):
        return
    asks = "takes none: the buyer chooses on its page" if provider.has_own_page else "needs one"
    raise Refused(ProblemType.INVALID_REQUEST, f"payment_method: {name} {asks}.", field="payment_method")


def check_currency(provider: str, currency: str) -> None:
    """Raise Refused unless the provider accepts the currency."""
    if currency not in PROVIDERS[provider].currencies:
        detail = f"{provider} does not take {currency}; choose another provider."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")


def check_admitted(provider: str, admitted: Sequence[str] | None) -> None:
    """Raise Refused unless the event's organizer admits the provider; None admits all."""
    if admitted is not None and provider not in admitted:
        detail = f"This event is not paid by {provider}; choose one of {', '.join(admitted)}."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
