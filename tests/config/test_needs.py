"""A process knows its own services' secrets and no others, and does not start without one of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.app import PARTS
from config.needs import NEEDS, Verb, needs_of, settings_of_process
from config.settings import SECRETS, Settings
from tests.provider_settings import provider_secrets
from workers import consumers, relay
from workers.temporal import worker

MANUAL = Path(__file__).parents[2] / "docs" / "operations.md"
PROCESSES: list[tuple[Verb, str]] = [(verb, service) for verb, services in NEEDS.items() for service in services]
NONE = "–"  # noqa: RUF001
OF_IDENTITY = {"token_key_secret", "personal_data_keys", "address_secret", "audit_log_secret"}
TEXT = {"temporal_payload_keys": "one:YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE"}


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"SEATWRIGHT_{name.upper()}", raising=False)
    monkeypatch.setenv("SEATWRIGHT_PAYMENT_STEPS", "remote")


def own_variables(verb: Verb, service: str) -> dict[str, str]:
    """The variables that a process needs, and no others."""
    needs = needs_of(Settings(payment_steps="remote"), verb, [service])
    own = {f"SEATWRIGHT_{name.upper()}": TEXT.get(name, f"given-{name}") for name in needs.secrets}
    passwords = {f"seatwright_{database}": "password" for database in needs.databases}
    return own | ({"SEATWRIGHT_POSTGRES_PASSWORDS": json.dumps(passwords)} if passwords else {})


def test_every_process_that_can_be_started_says_what_it_needs() -> None:
    started = {"serve": set(PARTS), "work": set(worker.SERVICES), "relay": set(relay.SERVICES)}
    assert {verb: set(services) for verb, services in NEEDS.items()} == started | {"consume": set(consumers.NAMES)}


@pytest.mark.parametrize(("verb", "service"), PROCESSES)
def test_a_process_starts_with_its_own_secrets_and_with_none_of_them_missing(
    verb: Verb, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = own_variables(verb, service)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    given = settings_of_process(verb, [service])
    assert {name for name in SECRETS if getattr(given, name)} == needs_of(given, verb, [service]).secrets
    for name, value in own.items():
        monkeypatch.delenv(name)
        with pytest.raises(ValueError, match=name):
            settings_of_process(verb, [service])
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("verb", "service"), PROCESSES)
def test_no_process_but_identitys_knows_a_secret_of_identity(verb: Verb, service: str) -> None:
    needs = needs_of(Settings(payment_steps="remote"), verb, [service])
    assert not needs.databases - {service}
    if (verb, service) != ("serve", "identity"):
        assert not needs.secrets & OF_IDENTITY


def test_a_worker_that_runs_payment_steps_itself_needs_the_payments_secrets() -> None:
    needs = needs_of(Settings(payment_steps="local"), "work", ["reservation"])
    assert needs.databases == {"reservation", "payment"}
    assert needs_of(Settings(), "work", ["payment"]).secrets <= needs.secrets


def test_operators_commands_and_processes_leave_no_secret_without_a_reader() -> None:
    read = {name for verb, service in PROCESSES for name in needs_of(Settings(), verb, [service]).secrets}
    assert read | {"postgres_role_secret"} == set(SECRETS)


@pytest.mark.parametrize(("verb", "service"), PROCESSES)
def test_the_manual_says_what_each_process_needs(verb: Verb, service: str) -> None:
    databases, secrets = NEEDS[verb][service]
    named = ", ".join(f"`{name.upper()}`" for name in sorted(secrets | provider_secrets(verb, service))) or NONE
    row = f"| `{verb} --only {service}` | {', '.join(sorted(databases)) or NONE} | {named} |"
    assert row in MANUAL.read_text().splitlines()
