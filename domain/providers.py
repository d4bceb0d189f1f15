"""What a payment provider offers, and what follows from that for a payment. `adapters.payment.registry` lists them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from domain.problems import ProblemType, Refused


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider's name and capabilities. Every provider must be able to reserve money first and capture it later.

    Attributes:
        name: As clients name it: lower-case letters and underscores.
        currencies: ISO 4217 codes that it takes.
        has_own_page: Whether the buyer chooses how to pay on the provider's page; otherwise the request names a method.
        has_settlement_report: Whether the provider lists the movements of a day; otherwise reconciliation retrieves
            each payment.
        page_lifetime: How long after `create` a page that cannot be withdrawn may be paid; None where the intent's
            state shows when that time is over.
    """

    name: str
    currencies: frozenset[str]
    has_own_page: bool
    has_settlement_report: bool
    page_lifetime: timedelta | None = None

    def check_method(self, payment_method: str | None) -> None:
        """Check that a payment names a method exactly where this provider needs one.

        Raises:
            Refused: The method is missing, or the buyer chooses it on the provider's page.
        """
        if self.has_own_page == (payment_method is None):
            return
        rule = "takes none: the buyer chooses on its page" if self.has_own_page else "needs one"
        raise Refused(ProblemType.INVALID_REQUEST, f"payment_method: {self.name} {rule}.", field="payment_method")

    def check_currency(self, currency: str) -> None:
        """Raise Refused unless the provider takes the currency."""
        if currency not in self.currencies:
            detail = f"{self.name} does not take {currency}; choose another provider."
            raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")


def check_admitted(provider: str, admitted: Sequence[str] | None) -> None:
    """Raise Refused unless an event's organizer admits the provider; None admits all."""
    if admitted is not None and provider not in admitted:
        detail = f"This event is not paid by {provider}; choose one of {', '.join(admitted)}."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
