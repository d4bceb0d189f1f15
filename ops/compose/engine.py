"""A container engine, driven by its command line: podman or docker, whichever answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LABEL = "seatwright.compose-test"
# For a machine that allows little: crun fails with mixed cgroups, and the usual limits are above what is allowed.
CAREFUL = Path(__file__).with_name("containers.conf")


class EngineError(Exception):
    """A command of the engine failed; the text is what it printed last."""


@dataclass(frozen=True)
class Engine:
    """One engine and the variables that its command needs."""

    command: str
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_podman(self) -> bool:
        """Podman can mount folders while it builds, which docker cannot."""
        return self.command == "podman"

    def run(self, *arguments: str | Path, seconds: float = 1800) -> str:
        """Run a command to its end and give what it printed.

        Raises:
            EngineError: It failed, or took longer.
        """
        done = self._call(arguments, seconds)
        if done.returncode:
            said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
            raise EngineError(f"{self.command} {arguments[0]} failed:\n{said}")
        return done.stdout.strip()

    def succeeds(self, *arguments: str | Path, seconds: float = 60) -> bool:
        """Run a command whose failure is an answer too."""
        try:
            return self._call(arguments, seconds).returncode == 0
        except EngineError:
            return False

    def _call(self, arguments: Sequence[str | Path], seconds: float) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [self.command, *arguments],
                env=os.environ | self.environment,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            raise EngineError(f"{self.command} {arguments[0]} took over {seconds:.0f} s") from late


def find() -> Engine:
    """The first engine that answers.

    Raises:
        EngineError: There is none.
    """
    for command in ("docker", "podman"):
        if shutil.which(command) and Engine(command).succeeds("info"):
            return Engine(command)
    raise EngineError("neither docker nor podman answers; on Debian: apt install podman runc buildah iptables")


def that_runs(engine: Engine, image: str) -> Engine:
    """The engine with the machine's own settings if a container runs with them, else with careful ones.

    Raises:
        EngineError: No container runs with either.
    """
    careful = Engine(engine.command, {"CONTAINERS_CONF": str(CAREFUL)})
    for each in (engine, careful) if engine.is_podman else (engine,):
        if each.succeeds("run", "--rm", "--network", "none", image, "true"):
            return each
    raise EngineError(engine.run("run", "--rm", image, "true"))
