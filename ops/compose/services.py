"""The services of docker-compose.yml, in the order in which they start."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class Service:
    """One service as the file describes it.

    Attributes:
        entrypoint: Empty for the image's own.
        health: The command of its health check, empty if it has none.
        needs: Its dependencies, each with the condition that compose waits for.
    """

    name: str
    image: str
    is_built_here: bool
    entrypoint: list[str]
    command: list[str]
    environment: dict[str, str]
    ports: list[str]
    volumes: list[str]
    health: list[str]
    needs: dict[str, str]

    @property
    def runs_once(self) -> bool:
        """Whether it ends by itself: others wait for its end and not for its health."""
        return not self.health and not self.ports


def read(file: Path) -> tuple[list[Service], list[str]]:
    """The services without a profile, dependencies first, and the names of the volumes."""
    described = yaml.safe_load(file.read_text())
    services = {name: _service(name, it) for name, it in described["services"].items() if "profiles" not in it}
    order = TopologicalSorter({name: service.needs.keys() for name, service in services.items()}).static_order()
    return [services[name] for name in order], list(described["volumes"])


def _service(name: str, described: dict[str, Any]) -> Service:
    return Service(
        name=name,
        image=described["image"],
        is_built_here="build" in described,
        entrypoint=_words(described.get("entrypoint", [])),
        command=_words(described.get("command", [])),
        environment=described.get("environment", {}),
        ports=described.get("ports", []),
        volumes=described.get("volumes", []),
        health=_health(described.get("healthcheck", {}).get("test", [])),
        needs={needed: on["condition"] for needed, on in described.get("depends_on", {}).items()},
    )


def _words(command: str | list[str]) -> list[str]:
    return shlex.split(command) if isinstance(command, str) else command


def _health(test: list[str]) -> list[str]:
    match test:
        case ["CMD", *command]:
            return command
        case ["CMD-SHELL", command]:
            return ["/bin/sh", "-c", command]
        case _:
            return []
