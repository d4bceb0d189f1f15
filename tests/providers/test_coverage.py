"""A new provider cannot be left out of the scenarios that run at every provider."""

from adapters.payment.registry import PROVIDERS
from tests.providers.checkouts import CHECKOUTS


def test_the_scenarios_run_at_every_provider_of_the_product() -> None:
    assert {checkout.name for checkout in CHECKOUTS} == set(PROVIDERS)
