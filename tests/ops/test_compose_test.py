"""`make compose-test` understands docker-compose.yml and leaves no service out in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops import dependencies
from ops.compose import images, services, stand_in
from ops.compose.services import Service

ROOT = Path(__file__).parents[2]
SERVICES, VOLUMES = services.read(ROOT / "docker-compose.yml")
NAMED = {service.name: service for service in SERVICES}
WITHOUT_A_PACKAGE = {"temporal-schema", "temporal-ui"}


def test_services_start_after_those_that_they_need() -> None:
    names = [service.name for service in SERVICES]
    for service in SERVICES:
        assert all(names.index(needed) < names.index(service.name) for needed in service.needs)


def test_a_service_is_waited_for_as_those_that_need_it_say() -> None:
    conditions = {(name, condition) for service in SERVICES for name, condition in service.needs.items()}
    for name, condition in conditions:
        assert NAMED[name].runs_once == (condition == "service_completed_successfully")


def test_commands_environment_and_health_are_read_as_compose_reads_them() -> None:
    assert NAMED["redis"].command == ["redis-server", "--save", "", "--appendonly", "no"]
    assert NAMED["redis"].health == ["/bin/sh", "-c", "redis-cli ping | grep -q PONG"]
    assert NAMED["postgres"].health[0] == "psql"
    assert NAMED["api"].environment["SEATWRIGHT_METRICS_PORT"] == "18100"
    assert "stripe-mock" not in NAMED, "its profile is not active"


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_each_service_is_built_stands_in_or_is_known_to_have_no_package(service: Service) -> None:
    ways = (service.is_built_here, service.name in stand_in.STAND_INS, service.name in WITHOUT_A_PACKAGE)
    assert sum(ways) == 1


def test_the_stand_ins_wheels_are_taken_from_the_lock() -> None:
    taken = dependencies.entries(images.WHEELS).splitlines()
    assert set(images.WHEELS) <= {line.partition("==")[0] for line in taken}
    assert set(taken) <= set((ROOT / dependencies.LOCK).read_text().splitlines())


def test_the_image_is_built_on_the_python_that_the_stand_in_replaces() -> None:
    assert f"ARG PYTHON={images.PYTHON}\n" in (ROOT / "ops" / "Dockerfile").read_text()
