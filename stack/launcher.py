"""Brings one process to life: installs, lays out, starts and waits until it is ready, or says why that is not so."""

import os
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stack import fingerprints, ports, processes
from stack.environment import for_application, for_server
from stack.errors import Cancelled, StackError
from stack.install_context import InstallContext
from stack.paths import CHECKOUT
from stack.processes import Launch
from stack.table import Process

READY_SECONDS = 300.0  # a server that dies is noticed at once; a machine that is busy needs minutes to start one
STOP_SECONDS = 30.0
# Whether servers wait for the disk. What they have given to the kernel outlives them, however they end; only the loss
# of the whole machine could take it.
DURABLE = {"fsync": "on", "synchronous": "FULL"}
THROWAWAY = {"fsync": "off", "synchronous": "OFF"}
# The shell is the session's leader and writes down how its one child ended; a later launcher can read that too.
RUN_ONCE = ("/bin/sh", "-c", '"$@"; echo $? > "$0"')


@dataclass(frozen=True)
class Launcher:
    """Starts and stops one row of the table within one stack."""

    row: Process
    context: InstallContext
    cancel: threading.Event

    def bring_up(self, wait: bool = True) -> str:
        """Adopt it, start it, or start it anew if its command or code has changed. Returns what was done."""
        facts = self.row.locate(self.context)
        launch = self._launch(facts)
        adopted = self._adopt(launch.fingerprint)
        if not adopted:
            self._check_ports()
            self.row.lay_out(self.context, facts)
            self.context.say("starting")
            processes.start(self.context.paths, self.row.name, launch)
        if wait:
            self._wait_until_ready()
        return "was running" if adopted else "ready" if wait else "started"

    def complete(self, done_before: str | None) -> tuple[str, str]:
        """Run what runs once, unless it was done before; returns what was done, and the fingerprint to remember."""
        launch = self._launch(self.row.locate(self.context))
        name, paths = self.row.name, self.context.paths
        if launch.fingerprint == done_before:
            return "done before", launch.fingerprint
        result = paths.record(name).with_suffix(".exit")
        if processes.running(paths, name) is None:
            result.unlink(missing_ok=True)
            once = Launch((*RUN_ONCE, str(result), *launch.command), launch.environment, launch.cwd)
            processes.start(paths, name, once)
        self.context.say("running")
        self._wait_until_ended()
        if not result.exists() or result.read_text().strip() != "0":
            raise StackError(f"{name} failed; the end of its log:\n{self._last_lines()}")
        return "done", launch.fingerprint

    def take_down(self) -> None:
        """Stop it, gently first."""
        processes.stop(self.context.paths, self.row.name, self.row.stop, STOP_SECONDS)
        self.context.paths.record(self.row.name).unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Whether it serves now."""
        try:
            if self.row.ready:
                self.row.ready(self.context)
        except Exception:
            return False
        return True

    def _launch(self, facts: Mapping[str, str]) -> Launch:
        known = {"python": sys.executable, "data": str(self.context.data), "ports": self.context.ports, **facts}
        known |= THROWAWAY if self.context.throwaway else DURABLE
        command = [token.format_map(known) for token in shlex.split(self.row.command)]
        own = {key: value.format_map(known) for key, value in self.row.env.items()}
        if self.row.code:
            own = {**self.context.env, **own}
        code = fingerprints.of_folders(CHECKOUT / folder for folder in self.row.code)
        return Launch(
            command,
            for_application(own) if self.row.code else for_server(own),
            CHECKOUT if self.row.code else self.context.paths.folder,
            self.row.user(),
            fingerprints.of_values(command, own, code),
        )

    def _adopt(self, fingerprint: str) -> bool:
        record = processes.running(self.context.paths, self.row.name)
        if record and record.fingerprint != fingerprint:
            self.context.say("stopping: its command or code has changed")
            self.take_down()
            return False
        return record is not None

    def _check_ports(self) -> None:
        busy = {
            name: self.context.ports[name] for name in self.row.ports if not ports.is_free(self.context.ports[name])
        }
        if busy:
            raise StackError(taken(busy, self.context.ports.values()))

    def _wait_until_ready(self) -> None:
        self.context.say("waiting until it is ready")
        deadline = time.monotonic() + READY_SECONDS
        while not self.cancel.is_set():
            if processes.running(self.context.paths, self.row.name) is None:
                raise StackError(f"{self.row.name} has ended; the end of its log:\n{self._last_lines()}")
            try:
                return self.row.ready(self.context) if self.row.ready else None
            except Exception as error:
                if time.monotonic() > deadline:
                    raise StackError(self._never_ready(error)) from error
            time.sleep(0.1)
        raise Cancelled(f"{self.row.name} was given up")

    def _wait_until_ended(self) -> None:
        while processes.running(self.context.paths, self.row.name) and not self.cancel.is_set():
            time.sleep(0.05)
        if self.cancel.is_set():
            raise Cancelled(f"{self.row.name} was given up")

    def _never_ready(self, error: Exception) -> str:
        return (
            f"{self.row.name} runs, but is not ready after {READY_SECONDS:.0f} s ({type(error).__name__}: {error});"
            f" `restart {self.row.name}` may help. The end of its log:\n{self._last_lines()}"
        )

    def _last_lines(self, count: int = 20, reach: int = 20_000) -> str:
        log = self.context.paths.log(self.row.name)
        try:
            with log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - reach))
                lines = file.read().decode(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(f"    {line}" for line in lines[-count:]) + f"\n    (all of it: {log})"


def taken(busy: Mapping[str, int], meant: Iterable[int]) -> str:
    """What to print about ports that something else listens on; `meant` are ports that the stack itself will use."""
    avoid = set(meant)
    lines = []
    for name, port in busy.items():
        by = ports.holder(port)
        other = next(other for other in range(port + 1, 65536) if other not in avoid and ports.is_free(other))
        avoid.add(other)
        lines.append(f"port {port} ({name}) is taken{' by ' + by if by else ''}; another: --port {name}={other}")
    return "\n".join([*lines, "Stop what is there, or give these options to `up`; `--ports free` chooses for all."])
