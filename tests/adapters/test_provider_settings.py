"""Each provider declares its own settings, and production never runs with a secret that everybody knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
from pydantic import SecretStr

from adapters.payment.registry import (
    ADAPTERS,
    open_webhook_verifiers,
    read_gateway_settings,
    total_calls_per_second,
)
from config.settings import Settings
from sandbox.payu.messages import signature as payu_signature
from tests.provider_settings import given, provider_secrets, secrets_of, webhook_secret
from tests.webhooks import message, signature

SANDBOX = "http://127.0.0.1:8900"
Read = Callable[[Mapping[str, SecretStr], str | None], Mapping[str, Any]]
READ: dict[str, Read] = {"work": read_gateway_settings, "serve": open_webhook_verifiers}
SECRETS = [(verb, name) for verb in READ for name in sorted(provider_secrets(verb, "payment"))]
ROTATED = ["stripe_webhook_secrets", "payu_second_key"]


def with_secrets(verb: str, **others: str) -> dict[str, SecretStr]:
    """The variables of a process, its secrets among them."""
    return given(provider_secrets(verb, "payment")) | {name: SecretStr(text) for name, text in others.items()}


def test_every_provider_has_secrets_and_none_of_them_has_a_default() -> None:
    models = [model for each in ADAPTERS.values() for model in (each.gateway_settings, each.webhook_settings)]
    for model in models:
        assert secrets_of(model)
        assert {name for name, info in model.model_fields.items() if info.is_required()} == secrets_of(model)


@pytest.mark.parametrize(("verb", "name"), SECRETS)
def test_production_does_not_start_without_a_secret_of_a_provider_and_names_it(verb: str, name: str) -> None:
    variables = with_secrets(verb)
    assert READ[verb](variables, None)
    del variables[name]
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        READ[verb](variables, None)


@pytest.mark.parametrize("verb", READ)
def test_all_missing_secrets_are_named_at_once(verb: str) -> None:
    with pytest.raises(ValueError, match="SEATWRIGHT_MODE=development") as refused:
        READ[verb]({}, None)
    names = {f"SEATWRIGHT_{name.upper()}" for name in provider_secrets(verb, "payment")}
    assert not [name for name in names if name not in str(refused.value)]


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize(("verb", "name"), SECRETS)
def test_a_blank_secret_of_a_provider_is_refused(verb: str, name: str, blank: str) -> None:
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        READ[verb](with_secrets(verb, **{name: blank}), None)


@pytest.mark.parametrize("several", ["new,", ",old", "new, ,old"])
@pytest.mark.parametrize("name", ROTATED)
def test_none_of_several_secrets_of_a_provider_is_blank(name: str, several: str) -> None:
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}"):
        open_webhook_verifiers(with_secrets("serve", **{name: several}), None)
    assert open_webhook_verifiers(with_secrets("serve", **{name: "new,old"}), None)


@pytest.mark.parametrize("two", ["new,old", "new, old", " new ,\told\n"])
def test_spaces_around_a_comma_are_no_part_of_a_secret(two: str) -> None:
    verifiers = open_webhook_verifiers(with_secrets("serve", **dict.fromkeys(ROTATED, two)), None)
    of_payu = orjson.dumps({"order": {"orderId": "O1", "extOrderId": "b:create:1", "status": "COMPLETED"}})
    of_stripe = message("pi_1")
    for secret in ("new", "old"):
        headers = {name.lower(): text for name, text in signature(of_stripe, secret).items()}
        assert verifiers["stripe"].verify(of_stripe, headers)
        assert verifiers["payu"].verify(of_payu, {"openpayu-signature": payu_signature(of_payu, secret)})


@pytest.mark.parametrize("space", ["", " ", "\n"])
@pytest.mark.parametrize(("verb", "name"), SECRETS)
def test_a_secret_that_everyone_knows_is_refused_with_spaces_around_it(verb: str, name: str, space: str) -> None:
    provider, _, field = name.partition("_")
    published = ADAPTERS[provider].development[field]
    several = f"own,{space}{published}" if name in ROTATED else f"{space}{published}"
    with pytest.raises(ValueError, match=f"SEATWRIGHT_{name.upper()}: everyone knows"):
        READ[verb](with_secrets(verb, **{name: several}), None)


def test_settings_keep_their_secrets_to_themselves() -> None:
    read = read_gateway_settings(with_secrets("work"), None)
    with pytest.raises(ValueError, match="SEATWRIGHT_STRIPE_CALLS_PER_SECOND") as refused:
        read_gateway_settings(with_secrets("work", stripe_calls_per_second="-7"), None)
    assert "given-" not in repr(read) + str(refused.value)


def test_in_development_every_provider_is_the_sandbox_unless_a_variable_says_otherwise() -> None:
    read = read_gateway_settings({"stripe_api_base": SecretStr("https://api.stripe.com")}, SANDBOX)
    away = {name for name, each in read.items() if not each.api_base.startswith(SANDBOX)}
    assert away == {"stripe"}
    assert open_webhook_verifiers({}, SANDBOX).keys() == ADAPTERS.keys()


def test_in_production_no_provider_is_the_sandbox() -> None:
    read = read_gateway_settings(with_secrets("work"), None)
    assert all(each.api_base.startswith("https://") for each in read.values())


def test_a_process_hands_a_provider_the_variables_with_its_name() -> None:
    process = {"SEATWRIGHT_MODE": "development", "SEATWRIGHT_STRIPE_WEBHOOK_SECRETS": "new,old", "PATH": "/bin"}
    settings = Settings.from_variables(process)
    assert webhook_secret(settings) == "new"
    assert "new,old" not in repr(settings)


@pytest.mark.parametrize(("limits", "total"), [(["5"] * len(ADAPTERS), 5.0 * len(ADAPTERS)), (["5"], None), ([], None)])
def test_the_limits_of_all_providers_add_up_only_where_each_has_one(limits: list[str], total: float | None) -> None:
    variables = {f"{name}_calls_per_second": SecretStr(each) for name, each in zip(ADAPTERS, limits, strict=False)}
    assert total_calls_per_second(read_gateway_settings(variables, SANDBOX)) == total
