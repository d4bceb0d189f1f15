"""The top-level folders, their packages, and their imports; this test keeps import-linter's contracts whole."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import combinations
from pathlib import Path
from typing import Any

import grimp
import pytest

from adapters.payment.registry import ADAPTERS

ROOT = Path(__file__).parents[2]
MAY_IMPORT: dict[str, set[str]] = {
    "domain": set(),
    "config": set(),
    "sandbox": set(),
    "stack": set(),
    "workflows": {"domain", "temporal", "activities"},
    "activities": {"domain", "adapters", "db"},
    "adapters": {"domain"},
    "db": {"domain"},
    "temporal": {"domain", "config"},
    "audit": {"domain", "config", "adapters", "db", "temporal"},
    "api": {"domain", "config", "adapters", "db", "temporal", "workflows", "activities", "audit"},
    "workers": {"domain", "config", "adapters", "db", "temporal", "workflows", "activities", "audit"},
}
"""Each folder and what it may import; `cli` wires everything and `bench` measures everything, so they are not here."""

SERVICES = {"identity", "catalogue", "reservation", "payment", "notification", "search", "analytics"}
BY_SERVICE = {"api", "activities", "db", "workers"}
"""Packages whose sub-packages or consumers are named after services, which must not import each other."""

PLACES: dict[str, set[str]] = {
    "api": {
        "api", "api.identity", "api.identity.oauth", "api.catalogue", "api.reservation", "api.reservation.commands",
        "api.payment", "api.search", "api.operations", "api.openapi", "api.edge", "api.auth",
        "api.http",
    },
    "adapters": {
        "adapters", "adapters.payment", *(f"adapters.payment.{name}" for name in ADAPTERS),
        "adapters.redis", "adapters.kafka", "adapters.internal", "adapters.elasticsearch",
    },
    "activities": {"activities", "activities.reservation", "activities.payment", "activities.catalogue"},
    "workers": {
        "workers", "workers.temporal", "workers.consumers", "workers.consumers.notification", "workers.sweepers",
    },
}  # fmt: skip
"""Every package in which modules of these folders may lie."""

ALONE = {
    "api.app", "api.server", "adapters.mail", "workers.relay",
    "workers.process", "workers.backoff", "activities.heartbeats",
}  # fmt: skip
"""The modules that lie directly in a top-level folder."""


@cache
def project() -> dict[str, Any]:
    tools: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tools


def folders() -> set[str]:
    """The top-level folders with our Python code."""
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


@cache
def imports() -> frozenset[tuple[str, str]]:
    """Every import of one of our modules by another."""
    graph = grimp.build_graph(*sorted(folders()), cache_dir=None)
    return frozenset(
        (module, imported) for module in graph.modules for imported in graph.find_modules_directly_imported_by(module)
    )


def kept_apart() -> set[tuple[str, str]]:
    """All pairs (folder, another that it may not import) for which import-linter has a contract."""
    pairs: set[tuple[str, str]] = set()
    for contract in project()["importlinter"]["contracts"]:
        if contract["type"] == "forbidden":
            pairs |= {(one, two) for one in contract["source_modules"] for two in contract["forbidden_modules"]}
        elif contract["type"] == "independence":
            for one, two in combinations(contract["modules"], 2):
                pairs |= {(one, two), (two, one)}
    return pairs


def service_of(module: str) -> str | None:
    """The service that a module belongs to by its package's name; None for what all services share."""
    folder, *inside = module.split(".")
    return next((part for part in inside if part in SERVICES), None) if folder in BY_SERVICE else None


def modules(folder: str) -> set[str]:
    """All modules of a top-level folder, its packages' own `__init__` left out."""
    found = (path.relative_to(ROOT).with_suffix("") for path in (ROOT / folder).rglob("*.py"))
    return {".".join(path.parts) for path in found if path.name != "__init__"}


def test_no_other_installed_distribution_has_a_top_level_name_of_ours() -> None:
    providers = packages_distributions()
    others = {folder: set(providers.get(folder, ())) - {"seatwright"} for folder in folders()}
    assert not {folder: names for folder, names in others.items() if names}


def test_every_folder_is_installed_checked_and_in_the_table() -> None:
    assert folders() == {*MAY_IMPORT, "bench", "cli"}
    assert {
        pattern.removesuffix("*") for pattern in project()["setuptools"]["packages"]["find"]["include"]
    } == folders()
    assert set(project()["importlinter"]["root_packages"]) == folders()
    assert set(project()["mypy"]["files"]) == folders() | {"ops", "tests"}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_import_linter_has_a_contract_for_every_folder_that_a_folder_may_not_import(folder: str) -> None:
    forbidden = {(folder, other) for other in folders() - {folder} - MAY_IMPORT[folder]}
    assert forbidden - kept_apart() == set()


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_no_folder_imports_what_it_may_not(folder: str) -> None:
    known = {
        (importer, imported)
        for importer, imported in imports()
        if importer.split(".")[0] == folder and imported.split(".")[0] not in {folder, *MAY_IMPORT[folder]}
    }
    assert not known


@pytest.mark.parametrize("folder", PLACES)
def test_every_module_lies_in_a_listed_package(folder: str) -> None:
    packages = {module.rpartition(".")[0] for module in modules(folder)}
    assert packages == PLACES[folder]
    assert {module for module in modules(folder) if module.count(".") == 1} == {
        module for module in ALONE if module.startswith(f"{folder}.")
    }


def test_services_meet_in_the_domain_in_a_workflow_or_through_kafka() -> None:
    between = {
        (importer, imported)
        for importer, imported in imports()
        if service_of(importer) and service_of(imported) and service_of(importer) != service_of(imported)
    }
    assert not between
