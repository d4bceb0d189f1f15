"""What a payment provider offers, and what follows from that for a payment. `adapters.payment.registry` lists them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from math import lcm

from domain.money import Money, exponent, format_money, rescale
from domain.problems import ProblemType, Refused


@dataclass(frozen=True, kw_only=True)
class AmountLimits:
    """What a provider takes of one currency at once, in our minor units.

    Attributes:
        minimum: The smallest payment. What is given back may be less.
        maximum: The largest payment.
        step: Each amount, paid or given back, is a multiple of it.
        decimals: Those of the provider's own unit. ISO 4217's for most currencies; then its unit is our minor unit.
    """

    minimum: int
    maximum: int
    step: int = 1
    decimals: int

    def __contains__(self, amount: int) -> bool:
        """Whether this amount can be paid."""
        return self.minimum <= amount <= self.maximum and amount % self.step == 0

    def describe(self, currency: str) -> str:
        """The limits as a person reads them: `EUR 0.50 to EUR 999999.99, in steps of EUR 0.01`."""
        least, most, step = (format_money(each, currency) for each in (self.minimum, self.maximum, self.step))
        return f"{least} to {most}, in steps of {step}"


@dataclass(frozen=True, kw_only=True)
class Provider:
    """One provider's name and capabilities. Every provider must be able to reserve money first and capture it later.

    Attributes:
        name: As clients name it: lower-case letters and underscores.
        currencies: What it takes of each currency (ISO 4217 code).
        has_own_page: Whether the buyer chooses how to pay on the provider's page; otherwise the request names a method.
        has_settlement_report: Whether the provider lists the movements of a day; otherwise reconciliation retrieves
            each payment.
        takes_buyer: Whether its fraud checks use what the buyer gives about themselves.
        page_lifetime: How long after `create` a page that cannot be withdrawn may be paid; None where the intent's
            state shows when that time is over.
    """

    name: str
    currencies: Mapping[str, AmountLimits]
    has_own_page: bool
    has_settlement_report: bool
    takes_buyer: bool = False
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

    def check_amount(self, amount: Money) -> None:
        """Raise Refused unless the provider takes this amount of this currency at once."""
        limits = self.currencies.get(amount.currency)
        if limits is None:
            detail = f"{self.name} does not take {amount.currency}; choose another provider."
            raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
        if amount.amount not in limits:
            asked, taken = format_money(amount.amount, amount.currency), limits.describe(amount.currency)
            detail = f"{self.name} cannot be paid {asked}: it takes {taken}."
            raise Refused(ProblemType.AMOUNT_NOT_PAYABLE, detail, field="provider", **_members(amount, limits))

    def to_units(self, amount: Money) -> int:
        """An amount in the provider's own units, as its API counts them.

        Raises:
            ValueError: The provider does not take the currency, or only multiples of a step that this is none of.
        """
        limits = self.currencies.get(amount.currency)
        if limits is None:
            raise ValueError(f"{self.name} does not take {amount.currency}")
        if amount.amount % limits.step:
            raise ValueError(f"{self.name} takes {amount.currency} in steps of {limits.step} minor units only")
        return int(rescale(amount.amount, exponent(amount.currency), limits.decimals))

    def from_units(self, units: int | Decimal, currency: str, *, cut: bool = False) -> Money:
        """What an amount in the provider's own units is in ours; the opposite of `to_units`.

        Args:
            units: As the provider's API counts them.
            currency: Of the amount; the provider may name one that it is not known to take.
            cut: Parts of a minor unit are cut off, as is right for a provider's fees.

        Raises:
            ValueError: The amount has parts of a minor unit.
        """
        limits = self.currencies.get(currency)
        ours = exponent(currency)
        exact = rescale(units, limits.decimals if limits else ours, ours)
        if exact % 1 and not cut:
            raise ValueError(f"{self.name} names {units} of {currency}, which is no whole number of minor units")
        return Money(amount=int(exact), currency=currency)


def payable_by(providers: Iterable[Provider], admitted: Sequence[str] | None, currency: str) -> list[Provider]:
    """The providers that a payment may choose from: admitted by the event (None admits all) and with the currency."""
    return [each for each in providers if currency in each.currencies and (admitted is None or each.name in admitted)]


def coarsest_step(providers: Iterable[Provider], currency: str) -> int:
    """A step that each of these providers can pay and refund, in minor units; 1 where there is none."""
    return lcm(*(each.currencies[currency].step for each in providers))


def check_total(total: Money, providers: Sequence[Provider]) -> None:
    """Check that what a booking costs can be paid at once; what is free needs no provider.

    Raises:
        Refused: It is more than each of these providers takes.
    """
    if total.amount == 0 or any(total.amount <= each.currencies[total.currency].maximum for each in providers):
        return
    asked = format_money(total.amount, total.currency)
    if not providers:
        raise _no_provider(total)
    limits = max((each.currencies[total.currency] for each in providers), key=lambda each: each.maximum)
    most = format_money(limits.maximum, total.currency)
    detail = f"These places cost {asked}; one payment can be at most {most}. Book fewer places at a time."
    raise Refused(ProblemType.AMOUNT_NOT_PAYABLE, detail, **_members(total, limits))


def check_payable(amount: Money, providers: Sequence[Provider]) -> None:
    """Check that an amount can be paid at once, whichever of these providers the buyer chooses.

    Raises:
        Refused: None of them takes it; the members are the limits that it comes nearest to.
    """
    if not providers:
        raise _no_provider(amount)
    allowed = [each.currencies[amount.currency] for each in providers]
    if any(amount.amount in limits for limits in allowed):
        return
    nearest = min(allowed, key=lambda limits: max(limits.minimum - amount.amount, amount.amount - limits.maximum))
    asked, taken = format_money(amount.amount, amount.currency), nearest.describe(amount.currency)
    detail = f"{asked} cannot be paid: the payment providers of this event take {taken}."
    raise Refused(ProblemType.AMOUNT_NOT_PAYABLE, detail, **_members(amount, nearest))


def _no_provider(amount: Money) -> Refused:
    detail = f"No payment provider takes {amount.currency}."
    return Refused(ProblemType.AMOUNT_NOT_PAYABLE, detail, **_asked(amount))


def _asked(amount: Money) -> dict[str, object]:
    return {"amount": amount.amount, "currency": amount.currency}


def _members(amount: Money, limits: AmountLimits) -> dict[str, object]:
    return {**_asked(amount), "minimum": limits.minimum, "maximum": limits.maximum, "step": limits.step}


def check_admitted(provider: str, admitted: Sequence[str] | None) -> None:
    """Raise Refused unless an event's organizer admits the provider; None admits all."""
    if admitted is not None and provider not in admitted:
        detail = f"This event is not paid by {provider}; choose one of {', '.join(admitted)}."
        raise Refused(ProblemType.INVALID_REQUEST, detail, field="provider")
