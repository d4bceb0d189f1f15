"""The rooms of docs/architecture.md, and who may know whom; import-linter holds it, this test holds import-linter."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import combinations
from pathlib import Path
from typing import Any

import grimp
import pytest

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
"""Each room and what it may import; `cli` wires everything and `bench` measures everything, so they are not here."""

SERVICES = {"identity", "catalogue", "reservation", "payment", "notification", "search", "analytics"}
OF_SERVICE = {"bookings": "reservation", "booking_commands": "reservation", "inventory": "reservation"} | {
    "refunds": "reservation",
    "cancellations": "reservation",
    "cancellation": "reservation",
    "returned_tickets": "reservation",
    "refund": "payment",
}
MEETING_PLACES = {"domain", "workflows", "temporal", "cli", "bench"}


@cache
def project() -> dict[str, Any]:
    tools: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return tools


def rooms() -> set[str]:
    """Top-level folders with Python code of ours."""
    return {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}


@cache
def imports() -> frozenset[tuple[str, str]]:
    """Every import of one module of ours by another."""
    graph = grimp.build_graph(*sorted(rooms()), cache_dir=None)
    return frozenset(
        (module, imported) for module in graph.modules for imported in graph.find_modules_directly_imported_by(module)
    )


def kept_apart() -> set[tuple[str, str]]:
    """All pairs (room, another that it may not import) for which import-linter has a contract."""
    pairs: set[tuple[str, str]] = set()
    for contract in project()["importlinter"]["contracts"]:
        if contract["type"] == "forbidden":
            pairs |= {(one, two) for one in contract["source_modules"] for two in contract["forbidden_modules"]}
        elif contract["type"] == "independence":
            for one, two in combinations(contract["modules"], 2):
                pairs |= {(one, two), (two, one)}
    return pairs


def service_of(module: str) -> str | None:
    """The service that a module belongs to by its name."""
    room, *inside = module.split(".")
    if room in MEETING_PLACES:
        return None
    return next((OF_SERVICE.get(part, part) for part in inside if part in SERVICES | OF_SERVICE.keys()), None)


def test_no_other_installed_distribution_has_a_top_level_name_of_ours() -> None:
    providers = packages_distributions()
    others = {room: set(providers.get(room, ())) - {"seatwright"} for room in rooms()}
    assert not {room: names for room, names in others.items() if names}


def test_every_room_is_installed_checked_and_in_the_table() -> None:
    assert rooms() == {*MAY_IMPORT, "bench", "cli"}
    assert {pattern.removesuffix("*") for pattern in project()["setuptools"]["packages"]["find"]["include"]} == rooms()
    assert set(project()["importlinter"]["root_packages"]) == rooms()
    assert set(project()["mypy"]["files"]) == rooms() | {"ops", "tests"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_import_linter_has_a_contract_for_every_room_that_a_room_may_not_import(room: str) -> None:
    forbidden = {(room, other) for other in rooms() - {room} - MAY_IMPORT[room]}
    assert forbidden - kept_apart() == set()


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_no_room_imports_what_it_may_not(room: str) -> None:
    known = {
        (importer, imported)
        for importer, imported in imports()
        if importer.split(".")[0] == room and imported.split(".")[0] not in {room, *MAY_IMPORT[room]}
    }
    assert not known


def test_services_meet_in_the_domain_in_a_workflow_or_through_kafka() -> None:
    between = {
        (importer, imported)
        for importer, imported in imports()
        if service_of(importer) and service_of(imported) and service_of(importer) != service_of(imported)
    }
    assert not between
