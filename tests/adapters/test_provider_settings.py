"""Each provider declares its own settings, and production never runs with a secret that everybody knows."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from pydantic import SecretStr

from adapters.payment.registry import ADAPTERS, read_settings, total_calls_per_second
from config.settings import Settings
from tests.provider_settings import stripe_settings

SANDBOX = "http://127.0.0.1:8900"

SECRETS = sorted(
    f"{name}_{field}"
    for name, adapter in ADAPTERS.items()
    for field, info in adapter.settings.model_fields.items()
    if "SecretStr" in str(info.annotation)
)
ROTATED = sorted(
    f"{name}_{field}"
    for name, adapter in ADAPTERS.items()
    for field, info in adapter.settings.model_fields.items()
    if "tuple" in str(info.annotation)
)
GIVEN = {name: f"given-{name}" for name in SECRETS}


def variables(values: Mapping[str, str]) -> dict[str, SecretStr]:
    """The variables as the settings of the process hold them."""
    return {name: SecretStr(text) for name, text in values.items()}


def test_every_provider_has_secrets_and_none_of_them_has_a_default() -> None:
    assert not [name for name in ADAPTERS if not any(secret.startswith(f"{name}_") for secret in SECRETS)]
    for name, adapter in ADAPTERS.items():
        required = {f"{name}_{field}" for field, info in adapter.settings.model_fields.items() if info.is_required()}
        assert required == {secret for secret in SECRETS if secret.startswith(f"{name}_")}


@pytest.mark.parametrize("name", SECRETS)
def test_production_does_not_start_without_a_secret_of_a_provider_and_names_it(name: str) -> None:
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        read_settings(variables({key: value for key, value in GIVEN.items() if key != name}), None)


def test_all_missing_secrets_are_named_at_once() -> None:
    with pytest.raises(ValueError, match="SEATWRIGHT_MODE=development") as refused:
        read_settings({}, None)
    assert not [name for name in SECRETS if f"SEATWRIGHT_{name.upper()}" not in str(refused.value)]


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", SECRETS)
def test_a_blank_secret_of_a_provider_is_none(name: str, blank: str) -> None:
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        read_settings(variables(GIVEN | {name: blank}), None)


@pytest.mark.parametrize("several", ["new,", ",old", "new, ,old"])
@pytest.mark.parametrize("name", ROTATED)
def test_none_of_several_secrets_of_a_provider_is_blank(name: str, several: str) -> None:
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        read_settings(variables(GIVEN | {name: several}), None)
    assert read_settings(variables(GIVEN | {name: "new,old"}), None)


def test_settings_keep_their_secrets_to_themselves() -> None:
    given = read_settings(variables(GIVEN), None)
    with pytest.raises(ValueError, match="SEATWRIGHT_STRIPE_CALLS_PER_SECOND") as refused:
        read_settings(variables(GIVEN | {"stripe_calls_per_second": "-7"}), None)
    assert not [value for value in GIVEN.values() if value in repr(given) + str(refused.value)]


def test_in_development_every_provider_is_the_sandbox_unless_a_variable_says_otherwise() -> None:
    given = read_settings(variables({"stripe_api_base": "https://api.stripe.com"}), SANDBOX)
    away = {name for name, each in given.items() if not each.api_base.startswith(SANDBOX)}
    assert away == {"stripe"}


def test_in_production_no_provider_is_the_sandbox() -> None:
    assert all(each.api_base.startswith("https://") for each in read_settings(variables(GIVEN), None).values())


def test_a_process_hands_a_provider_the_variables_with_its_name() -> None:
    process = {"SEATWRIGHT_MODE": "development", "SEATWRIGHT_STRIPE_WEBHOOK_SECRETS": "new,old", "PATH": "/bin"}
    settings = Settings.from_variables(process)
    assert [each.get_secret_value() for each in stripe_settings(settings).webhook_secrets] == ["new", "old"]
    assert "new,old" not in repr(settings)


@pytest.mark.parametrize(("limits", "total"), [(["5"] * len(ADAPTERS), 5.0 * len(ADAPTERS)), (["5"], None), ([], None)])
def test_the_limits_of_all_providers_add_up_only_where_each_has_one(limits: list[str], total: float | None) -> None:
    given = {f"{name}_calls_per_second": limit for name, limit in zip(ADAPTERS, limits, strict=False)}
    assert total_calls_per_second(read_settings(variables(given), SANDBOX)) == total
