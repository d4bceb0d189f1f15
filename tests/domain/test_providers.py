"""What each provider takes of a currency, and how its units become our minor units."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.payment.registry import PROVIDERS
from domain.money import Money, is_listed
from domain.problems import ProblemType, Refused
from domain.providers import check_payable, check_total, payable_by
from sandbox.stripe.amounts import check_amount
from sandbox.stripe.errors import ApiError

STRIPE = PROVIDERS["stripe"]
BY_PROVIDER = [(name, sorted(provider.currencies)) for name, provider in PROVIDERS.items()]
TAKEN = [(name, currency) for name, provider in PROVIDERS.items() for currency in sorted(provider.currencies)]


def paid(provider: str, amount: int, currency: str) -> None:
    PROVIDERS[provider].check_amount(Money(amount=amount, currency=currency))


@pytest.mark.parametrize(("provider", "currencies"), BY_PROVIDER)
def test_a_provider_takes_only_currencies_of_iso_4217(provider: str, currencies: list[str]) -> None:
    assert [currency for currency in currencies if not is_listed(currency)] == []


@pytest.mark.parametrize(("provider", "currencies"), BY_PROVIDER)
def test_the_limits_themselves_can_be_paid_and_what_lies_beyond_cannot(provider: str, currencies: list[str]) -> None:
    for currency in currencies:
        limits = PROVIDERS[provider].currencies[currency]
        paid(provider, limits.minimum, currency)
        paid(provider, limits.maximum, currency)
        for amount in (limits.minimum - limits.step, limits.maximum + limits.step):
            with pytest.raises(Refused) as refused:
                paid(provider, amount, currency)
            assert refused.value.problem.type is ProblemType.AMOUNT_NOT_PAYABLE, currency


def test_the_sandbox_takes_stripe_s_limits_and_refuses_what_lies_beyond() -> None:
    for currency, limits in STRIPE.currencies.items():
        smallest, largest = limits.minimum, limits.maximum
        takes = [(smallest, True), (largest, True), (largest + limits.step, False)]
        if smallest > limits.step:
            takes.append((smallest - limits.step, False))
        for amount, is_taken in takes:
            assert sandbox_takes(amount, currency) is is_taken, (amount, currency)


def sandbox_takes(amount: int, currency: str) -> bool:
    try:
        check_amount(STRIPE.to_units(Money(amount=amount, currency=currency)), currency.lower())
    except ApiError:
        return False
    return True


@pytest.mark.parametrize(
    ("amount", "currency", "units"),
    [
        (4500, "EUR", 4500),
        (500, "JPY", 500),
        (12_340, "KWD", 12_340),
        (33, "ISK", 3300),
        (33, "UGX", 3300),
        (10_000, "MGA", 100),
        (150_000_000, "IDR", 150_000_000),
    ],
)
def test_stripe_counts_an_amount_in_its_own_units(amount: int, currency: str, units: int) -> None:
    money = Money(amount=amount, currency=currency)
    assert STRIPE.to_units(money) == units
    assert STRIPE.from_units(units, currency) == money


@given(st.integers(0, 10**9), st.sampled_from(TAKEN))
def test_every_amount_that_a_provider_can_be_sent_comes_back_the_same(steps: int, taken: tuple[str, str]) -> None:
    provider, currency = PROVIDERS[taken[0]], taken[1]
    money = Money(amount=steps * provider.currencies[currency].step, currency=currency)
    assert provider.from_units(provider.to_units(money), currency) == money


@pytest.mark.parametrize(
    ("amount", "currency"), [(12_345, "KWD"), (250, "MGA"), (1, "BHD"), (100, "XXX"), (100, "BGN")]
)
def test_an_amount_between_two_steps_is_never_sent(amount: int, currency: str) -> None:
    with pytest.raises(ValueError, match=currency):
        STRIPE.to_units(Money(amount=amount, currency=currency))


@pytest.mark.parametrize("units", [3350, 1, 99])
def test_part_of_a_minor_unit_is_never_read_as_a_whole_one(units: int) -> None:
    with pytest.raises(ValueError, match="ISK"):
        STRIPE.from_units(units, "ISK")
    assert STRIPE.from_units(units, "ISK", cut=True).amount == units // 100


def test_a_currency_that_a_provider_does_not_take_is_read_all_the_same() -> None:
    assert STRIPE.from_units(Decimal(4500), "BGN") == Money(amount=4500, currency="BGN")


@pytest.mark.parametrize(
    ("amount", "currency", "refused"),
    [
        (25, "EUR", True),
        (50, "EUR", False),
        (10_000, "HUF", True),
        (17_500, "HUF", False),
        (40, "JPY", True),
        (50, "JPY", False),
        (12_345, "KWD", True),
        (12_340, "KWD", False),
        (5050, "MGA", True),
        (5100, "MGA", False),
        (150_000_000, "IDR", False),
        (30_000_000, "COP", False),
        (500_000_000, "LBP", False),
        (100_000_000, "EUR", True),
    ],
)
def test_an_amount_is_refused_with_the_limits_that_it_breaks(amount: int, currency: str, refused: bool) -> None:
    if not refused:
        paid("stripe", amount, currency)
        return
    with pytest.raises(Refused, match=currency) as why:
        paid("stripe", amount, currency)
    limits = STRIPE.currencies[currency]
    shown = {"minimum": limits.minimum, "maximum": limits.maximum, "step": limits.step}
    assert why.value.problem.members.items() >= shown.items()


@pytest.mark.parametrize(
    ("admitted", "currency", "names"),
    [
        (None, "EUR", {"stripe", "iyzico", "payu"}),
        (None, "TRY", {"stripe", "iyzico"}),
        (["payu"], "HUF", {"payu"}),
        (["iyzico"], "JPY", set()),
        (None, "XCD", {"stripe"}),
        (None, "ZZZ", set()),
    ],
)
def test_a_payment_may_choose_from_what_the_event_and_the_currency_admit(
    admitted: list[str] | None, currency: str, names: set[str]
) -> None:
    assert {each.name for each in payable_by(PROVIDERS.values(), admitted, currency)} == names


@pytest.mark.parametrize(
    ("amount", "currency", "admitted", "most"),
    [
        (500_000_000, "EUR", None, 99_999_999),
        (100_000_000, "EUR", None, 99_999_999),
        (100_000_000, "HUF", ["payu"], 99_999_999),
        (10_000_000_000, "HUF", None, 9_999_999_999),
        (99_999_991, "KWD", None, 99_999_990),
    ],
)
def test_more_than_can_be_paid_at_once_is_refused_naming_the_most(
    amount: int, currency: str, admitted: list[str] | None, most: int
) -> None:
    providers = payable_by(PROVIDERS.values(), admitted, currency)
    check_total(Money(amount=most, currency=currency), providers)
    with pytest.raises(Refused) as refused:
        check_total(Money(amount=amount, currency=currency), providers)
    assert refused.value.problem.members["maximum"] == most


@pytest.mark.parametrize(
    ("amount", "currency", "admitted", "refused"),
    [
        (30, "EUR", ["stripe"], (50, 99_999_999)),
        (50, "EUR", ["stripe"], None),
        (30, "EUR", ["stripe", "payu"], None),
        (1, "EUR", None, None),
        (100_000_000, "EUR", None, (50, 99_999_999)),
        (100, "HUF", ["stripe", "payu"], None),
        (12_345, "KWD", ["stripe"], (50, 99_999_990)),
    ],
)
def test_a_charge_must_be_one_that_some_provider_takes(
    amount: int, currency: str, admitted: list[str] | None, refused: tuple[int, int] | None
) -> None:
    charge, providers = Money(amount=amount, currency=currency), payable_by(PROVIDERS.values(), admitted, currency)
    if refused is None:
        check_payable(charge, providers)
        return
    with pytest.raises(Refused) as refusal:
        check_payable(charge, providers)
    problem = refusal.value.problem
    assert problem.type is ProblemType.AMOUNT_NOT_PAYABLE
    assert (problem.members["minimum"], problem.members["maximum"]) == refused


def test_free_places_need_no_provider_and_others_need_one() -> None:
    check_total(Money(amount=0, currency="XDR"), [])
    with pytest.raises(Refused, match="No payment provider takes XCD"):
        check_total(Money(amount=1, currency="XCD"), [])
    with pytest.raises(Refused, match="No payment provider takes XCD"):
        check_payable(Money(amount=1, currency="XCD"), [])
