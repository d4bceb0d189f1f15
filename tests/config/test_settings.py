"""Nobody runs in production with a secret that everybody knows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config.settings import Settings

OPTIONAL = {"postgres_admin_dsn"}
"""Only `migrate` needs it, and says so."""
NO_SECRETS = {"redis_url", "provider_variables"}
"""An address is secret only where it carries a password; the providers' packages check their own variables."""

SECRETS = sorted(
    name
    for name, field in Settings.model_fields.items()
    if "SecretStr" in str(field.annotation) and name not in NO_SECRETS
)
GIVEN = {name: f"given-{name}" for name in SECRETS}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEATWRIGHT_{name.upper()}", raising=False)


def test_no_secret_has_a_default() -> None:
    assert {name for name in SECRETS if Settings.model_fields[name].default is not None} == set()


@pytest.mark.parametrize("name", sorted(set(SECRETS) - OPTIONAL))
def test_a_process_does_not_start_without_a_secret_and_names_it(name: str) -> None:
    with pytest.raises(ValidationError, match=f"SEATWRIGHT_{name.upper()}"):
        Settings.model_validate({key: value for key, value in GIVEN.items() if key != name})


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("name", sorted(set(SECRETS) - OPTIONAL))
def test_a_blank_secret_is_none(name: str, blank: str) -> None:
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


def test_a_process_starts_with_all_of_its_secrets_and_keeps_them_to_itself() -> None:
    settings = Settings.model_validate(GIVEN)
    assert settings.mode == "production"
    assert not [name for name, value in GIVEN.items() if value in repr(settings)]


def test_production_is_limited_unless_it_says_otherwise() -> None:
    settings = Settings.model_validate(GIVEN)
    assert settings.rate_limits
    assert settings.live_holds
    assert Settings.model_validate(GIVEN | {"rate_limits": {}}).rate_limits == {}


def test_a_limit_cannot_be_forgotten() -> None:
    with pytest.raises(ValidationError, match="log-in-failures"):
        Settings.model_validate(GIVEN | {"rate_limits": {"read": "10/minute"}})


def test_whatever_looks_like_a_secret_is_kept_as_one() -> None:
    words = ("secret", "password", "token", "key", "dsn")
    named = {name for name in Settings.model_fields if any(word in name for word in words)}
    assert {name for name in named if "SecretStr" not in str(Settings.model_fields[name].annotation)} == set()
