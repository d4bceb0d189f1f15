"""Checks an event's prices before it is drafted: each can be paid by every provider that its buyers may choose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.payment.registry import PROVIDERS
from domain.catalogue import EventPlan, Section
from domain.money import format_money
from domain.problems import ProblemType, Refused
from domain.providers import Provider, payable_by


def check_prices(plan: EventPlan) -> None:
    """Check the price of one place of each section; free sections need no provider.

    Raises:
        Refused: A price cannot be paid. It names each section with its provider, limits and step.
    """
    providers = payable_by(PROVIDERS.values(), plan.providers, plan.currency)
    errors = [
        {"field": f"body.sections.{place}.price", "message": message}
        for place, section in enumerate(plan.sections)
        if section.price
        for message in _wrong(section, plan.currency, providers)
    ]
    if errors:
        detail = "; ".join(f"{error['field']}: {error['message']}" for error in errors[:3])
        raise Refused(ProblemType.INVALID_REQUEST, f"{detail}.", errors=errors)


def _wrong(section: Section, currency: str, providers: Sequence[Provider]) -> Iterator[str]:
    if not providers:
        yield f"section {section.name}: no payment provider takes {currency}, so its places can only be free"
    for provider in providers:
        limits = provider.currencies[currency]
        if section.price not in limits:
            price = format_money(section.price, currency)
            yield f"section {section.name}: {price} cannot be paid by {provider.name}: {limits.describe(currency)}"
