"""No process runs in production with a secret that everyone knows."""

from __future__ import annotations

import pytest
from pydantic import SecretStr, ValidationError
from sqlalchemy.engine import make_url

from adapters.payment.registry import ADAPTERS, read_one
from config.settings import Settings, settings
from tests.provider_settings import secrets_of

OPTIONAL = {"postgres_admin_dsn", "postgres_passwords"}
"""Only `migrate` needs the first, and says so; the second takes the place of the roles' common secret."""
NO_SECRETS = {"redis_url", "provider_variables"}
"""An address is secret only where it carries a password; the providers' packages check their own variables."""

SECRETS = sorted(
    name
    for name, field in Settings.model_fields.items()
    if "SecretStr" in str(field.annotation) and name not in NO_SECRETS
)
GIVEN = {name: f"given-{name}" for name in SECRETS if name != "postgres_passwords"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEATWRIGHT_{name.upper()}", raising=False)


def test_no_secret_has_a_default() -> None:
    production = Settings(mode="production")
    assert {name for name in SECRETS if getattr(production, name)} == set()


@pytest.mark.parametrize("name", sorted(set(SECRETS) - OPTIONAL))
def test_an_operators_command_does_not_start_without_a_secret_and_names_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in GIVEN.items():
        monkeypatch.setenv(f"SEATWRIGHT_{key.upper()}", value)
    of_command = settings.__wrapped__  # without its cache
    assert of_command().mode == "production"
    monkeypatch.delenv(f"SEATWRIGHT_{name.upper()}")
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        of_command()


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", sorted(set(SECRETS) - OPTIONAL))
def test_a_blank_secret_is_refused(name: str, blank: str) -> None:
    with pytest.raises(ValidationError, match=f"SEATWRIGHT_{name.upper()}"):
        Settings.model_validate(GIVEN | {name: blank})


@pytest.mark.parametrize("several", ["new,", ",old", "new, ,old"])
@pytest.mark.parametrize(
    "name",
    ["token_key_secret", "personal_data_keys", "temporal_payload_keys"],
)
def test_none_of_several_secrets_is_blank(name: str, several: str) -> None:
    with pytest.raises(ValidationError, match=f"SEATWRIGHT_{name.upper()}"):
        Settings.model_validate(GIVEN | {name: several})
    assert Settings.model_validate(GIVEN | {name: "new,old"})


def test_no_secret_is_shown_when_the_settings_are_printed() -> None:
    given = Settings.model_validate(GIVEN | {"postgres_passwords": {"seatwright_payment": "given-password"}})
    assert given.mode == "production"
    assert not [value for value in (*GIVEN.values(), "given-password") if value in repr(given)]


def test_a_blank_password_of_a_role_is_refused() -> None:
    with pytest.raises(ValidationError, match="SEATWRIGHT_POSTGRES_PASSWORDS"):
        Settings.model_validate(GIVEN | {"postgres_passwords": {"seatwright_payment": " "}})


def test_a_role_has_the_password_that_is_given_for_it() -> None:
    given = Settings.model_validate({"postgres_passwords": {"seatwright_payment": "own"}})
    assert ":own@" in given.database_url("payment")


def test_a_password_may_hold_every_character() -> None:
    given = Settings.model_validate({"postgres_passwords": {"seatwright_payment": "p@ss/%41:"}})
    assert make_url(given.database_url("payment")).password == "p@ss/%41:"


def test_a_providers_variable_is_read_in_upper_and_in_lower_case() -> None:
    given = Settings.from_variables({"SEATWRIGHT_MODE": "development", "seatwright_stripe_api_key": "sk_test_own"})
    assert given.provider_variables["stripe_api_key"].get_secret_value() == "sk_test_own"


def test_production_is_limited_unless_it_says_otherwise() -> None:
    given = Settings.model_validate(GIVEN)
    assert given.rate_limits
    assert given.live_holds
    assert Settings.model_validate(GIVEN | {"rate_limits": {}}).rate_limits == {}


def test_a_limit_cannot_be_forgotten() -> None:
    with pytest.raises(ValidationError, match="log-in-failures"):
        Settings.model_validate(GIVEN | {"rate_limits": {"read": "10/minute"}})


def test_whatever_looks_like_a_secret_is_kept_as_one() -> None:
    words = ("secret", "password", "token", "key", "dsn")
    named = {name for name in Settings.model_fields if any(word in name for word in words)}
    assert {name for name in named if "SecretStr" not in str(Settings.model_fields[name].annotation)} == set()


PUBLISHED = "development-only-secret-0123456789"
PUBLISHED_KEY = "c2VhdHdyaWdodC1kZXZlbG9wbWVudC1vbmx5LWtleSE"


@pytest.mark.parametrize("value", [PUBLISHED, f"own,{PUBLISHED}", f"{PUBLISHED},own", f" {PUBLISHED} "])
@pytest.mark.parametrize("name", sorted(set(SECRETS) - OPTIONAL))
def test_production_refuses_a_secret_of_development_mode_by_its_value(name: str, value: str) -> None:
    with pytest.raises(ValidationError, match=f"SEATWRIGHT_{name.upper()}.*everyone knows"):
        Settings.model_validate(GIVEN | {name: value})


@pytest.mark.parametrize(
    "value", [f"development:{PUBLISHED_KEY}", f"other:{PUBLISHED_KEY}", f"own:x,old:{PUBLISHED_KEY}"]
)
def test_production_refuses_the_payload_key_of_development_mode_under_any_id(value: str) -> None:
    with pytest.raises(ValidationError, match="SEATWRIGHT_TEMPORAL_PAYLOAD_KEYS"):
        Settings.model_validate(GIVEN | {"temporal_payload_keys": value})


def test_production_refuses_a_role_s_password_of_development_mode() -> None:
    with pytest.raises(ValidationError, match="seatwright_payment".upper()):
        Settings.model_validate(GIVEN | {"postgres_passwords": {"seatwright_payment": PUBLISHED}})


def test_the_values_of_development_mode_are_those_that_production_refuses() -> None:
    development = Settings(mode="development")
    given = {name: getattr(development, name) for name in SECRETS if name not in OPTIONAL}
    for name, value in given.items():
        with pytest.raises(ValidationError, match=f"SEATWRIGHT_{name.upper()}"):
            Settings.model_validate(GIVEN | {name: value.get_secret_value()})


@pytest.mark.parametrize("provider", ADAPTERS)
def test_production_refuses_a_provider_s_secret_of_development_mode(provider: str) -> None:
    adapter = ADAPTERS[provider]
    for model in (adapter.gateway_settings, adapter.webhook_settings):
        secrets = secrets_of(model)
        assert secrets <= adapter.development.keys()
        for field in secrets:
            variables = {f"{provider}_{name}": SecretStr(text) for name, text in adapter.development.items()}
            variables |= {f"{provider}_{name}": SecretStr(f"own-{name}") for name in secrets - {field}}
            with pytest.raises(ValueError, match=f"SEATWRIGHT_{provider}_{field}".upper()):
                read_one(model, provider, variables, None)
            assert read_one(model, provider, variables, "http://sandbox.test")


@pytest.mark.parametrize("name", ["localhost", "", "work:18101"])
def test_metrics_are_served_at_an_ip_address_which_temporals_runtime_needs(name: str) -> None:
    with pytest.raises(ValidationError, match="metrics_host"):
        Settings(mode="development", metrics_host=name)
    assert Settings(mode="development", metrics_host="::").metrics_host == "::"
