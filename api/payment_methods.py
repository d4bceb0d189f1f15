"""Which payment method an order may name, and which currency its provider takes."""

from __future__ import annotations

from domain.problems import ProblemType, Refused
from domain.providers import PROVIDERS


def check_method(name: str, payment_method: str | None) -> None:
    """A provider with a page of its own lets the buyer choose there; any other has to be told the method.

    Raises:
        Refused: It is not so, or there is no such provider.
    """
    provider = PROVIDERS.get(name)
    if provider is None:
        raise Refused(ProblemType.UNKNOWN_PROVIDER, f"Known providers: {', '.join(PROVIDERS)}.", field="provider")
    if provider.has_own_page == (payment_method is None):
        return
    asks = "takes none: the buyer chooses on its page" if provider.has_own_page else "needs one"
    raise Refused(ProblemType.INVALID_REQUEST, f"payment_method: {name} {asks}.", field="payment_method")


def check_currency(provider: str, currency: str) -> None:
    """Raise Refused unless the provider takes the currency."""
    if currency not in PROVIDERS[provider].currencies:
        detail = f"{provider} does not take {currency}; choose another provider."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
