"""Starts the services one after the other, waits as compose would, and removes all of it."""

from __future__ import annotations

import time
from collections.abc import Iterable

from ops.compose.engine import LABEL, Engine, EngineError
from ops.compose.images import ROOT, STAND_IN
from ops.compose.services import Service
from ops.compose.stand_in import StandIn

PROJECT = "seatwright-compose-test"
_HEALTHY_SECONDS = 240.0
_OFTEN = 2.0


class Project:
    """The running services of one test, on a network of their own."""

    def __init__(self, engine: Engine, volumes: Iterable[str]) -> None:
        self._engine = engine
        self._volumes = list(volumes)

    def open(self) -> None:
        """Make network and volumes; what an earlier test left is removed first."""
        self.close()
        self._engine.run("network", "create", "--label", f"{LABEL}=1", PROJECT)
        for volume in self._volumes:
            self._engine.run("volume", "create", "--label", f"{LABEL}=1", f"{PROJECT}-{volume}")

    def close(self) -> None:
        """Remove containers, volumes and network."""
        if containers := self._engine.run("ps", "-aq", "--filter", f"label={LABEL}").split():
            self._engine.run("rm", "-f", "-v", *containers)
        for volume in self._volumes:
            self._engine.succeeds("volume", "rm", "-f", f"{PROJECT}-{volume}")
        self._engine.succeeds("network", "rm", PROJECT)

    def start(self, service: Service, stand_in: StandIn | None) -> None:
        """Start a service and wait until it is healthy, or has ended well if it runs once.

        Raises:
            EngineError: It did not become so; the text has the end of its log.
        """
        self._engine.run("run", "-d", *self._options(service, stand_in))
        wait = self._ended if service.runs_once else self._healthy
        wait(service)

    def _options(self, service: Service, stand_in: StandIn | None) -> list[str]:
        options = ["--name", f"{PROJECT}-{service.name}", "--label", f"{LABEL}=1"]
        options += ["--network", PROJECT, "--network-alias", service.name]
        options += _pairs("-e", (f"{name}={value}" for name, value in service.environment.items()))
        options += _pairs("-p", service.ports)
        options += _pairs("-v", map(_mount, service.volumes))
        if stand_in:
            options += _pairs("-v", (f"{path}:{at}:ro" for at, path in stand_in.mounts.items()))
            return [*options, "--entrypoint", stand_in.command[0], STAND_IN, *stand_in.command[1:]]
        entrypoint = ["--entrypoint", service.entrypoint[0]] if service.entrypoint else []
        return [*options, *entrypoint, service.image, *service.entrypoint[1:], *service.command]

    def _healthy(self, service: Service) -> None:
        container = f"{PROJECT}-{service.name}"
        deadline = time.monotonic() + _HEALTHY_SECONDS
        while not (service.health and self._engine.succeeds("exec", container, *service.health)):
            state = self._engine.run("inspect", "-f", "{{.State.Status}}", container)
            if not service.health and state == "running":
                return
            if state != "running" or time.monotonic() > deadline:
                raise EngineError(f"{service.name} is {state} and not healthy:\n{self._log(container)}")
            time.sleep(_OFTEN)

    def _ended(self, service: Service) -> None:
        container = f"{PROJECT}-{service.name}"
        code = self._engine.run("wait", container, seconds=_HEALTHY_SECONDS)
        if code != "0":
            raise EngineError(f"{service.name} ended with {code}:\n{self._log(container)}")

    def _log(self, container: str) -> str:
        return self._engine.run("logs", "--tail", "30", container)


def _pairs(option: str, values: Iterable[str]) -> list[str]:
    return [word for value in values for word in (option, value)]


def _mount(volume: str) -> str:
    name, rest = volume.split(":", 1)
    return f"{ROOT / name}:{rest}" if name.startswith(".") else f"{PROJECT}-{name}:{rest}"
