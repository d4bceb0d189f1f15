"""A stack of real servers and of our own processes, under one name: what the commands and the tests hold in hand."""

import dataclasses
import shlex
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from rich.console import Console

from stack import dependencies, environment, locks, ports, processes, state
from stack.errors import Cancelled, StackError
from stack.install_context import InstallContext
from stack.launcher import Launcher, taken
from stack.paths import Paths
from stack.progress import Board
from stack.servers import postgres
from stack.state import Spawned, State
from stack.table import DEFAULT_PORTS, TABLE, WATCHERS, Process, all_needs, named, usual, with_needs


@dataclasses.dataclass(frozen=True)
class Seen:
    """One process as `status` shows it."""

    name: str
    state: Literal["ready", "not ready", "died", "stopped", "done"]
    pid: int | None
    started_at: float | None
    ports: Mapping[str, int]
    page: str


class Stack:
    """Every change holds the stack's launcher lock, so that two launchers never work at the same time.

    Args:
        name: what the stack is called; it has its own folder, ports and data.
        ports: "default" for the demo's ports, "free" for ports that are not in use; remembered once chosen.
        home: the folder that holds the stack's folder; the checkout's `.seatwright` if not given.
        console: where progress is shown.
    """

    def __init__(
        self,
        name: str = "demo",
        ports: Literal["default", "free"] = "default",
        home: Path | None = None,
        console: Console | None = None,
    ) -> None:
        if name in ("", "tools") or not name.replace("-", "").replace("_", "").isalnum():
            raise StackError(f"a stack cannot be called {name!r}")
        self.paths = Paths(name, home.resolve()) if home else Paths(name)
        self._wants_free_ports = ports == "free"
        self._console = console or Console(stderr=True)

    # What it is

    @property
    def env(self) -> dict[str, str]:
        """The SEATWRIGHT_ variables of this stack, as its processes get them."""
        return environment.variables(self._known())

    @property
    def ports(self) -> dict[str, int]:
        """The port of each listener, by name."""
        return self._known().ports

    def is_running(self, name: str) -> bool:
        """Whether the process lives (which is less than ready)."""
        return processes.running(self.paths, name) is not None

    def pid(self, name: str) -> int | None:
        """The process's id, if it lives."""
        record = processes.running(self.paths, name)
        return record.pid if record else None

    def names(self) -> list[str]:
        """All names of the table, and of what was spawned."""
        return [*TABLE, *self._load().spawned]

    def status(self) -> list[Seen]:
        """All processes as they are now, asked at the same time."""
        current = self._load()
        seen: dict[str, Seen] = {}

        def look(name: str) -> None:
            seen[name] = self._see(current, name)

        dependencies.run(dict.fromkeys((*TABLE, *current.spawned), ()), look, threading.Event())
        return [seen[name] for name in (*TABLE, *current.spawned)]

    # What one does with it

    def up(
        self,
        *names: str,
        servers: bool = False,
        ports: Mapping[str, int] | None = None,
        settings: Mapping[str, str] | None = None,
        watched: bool = False,
        throwaway: bool = False,
    ) -> None:
        """Bring up what is named (and all that it needs), or everything, or all servers. What runs is adopted.

        Args:
            names: rows of the table; empty for all that are not optional.
            servers: without names: only what others wrote, the mail catcher and the sandbox.
            ports: chosen ports by name, remembered for this stack.
            settings: SEATWRIGHT_ variables that replace computed ones, remembered for this stack.
            watched: also start what shows traces, graphs and alerts, and let our processes send their spans there.
            throwaway: its servers do not wait for the disk, which only a loss of the machine shows; remembered.
        """
        rows = with_needs([*(names or usual(servers)), *(WATCHERS if watched else ())])
        with self._changing() as current:
            current.free_ports |= self._wants_free_ports
            _choose_ports(current, ports or {})
            current.settings |= settings or {}
            current.watched = watched if not names else watched or current.watched
            current.throwaway |= throwaway
            self._remember(current)
            with locks.held(self.paths.ports_lock):
                self._make_way(current, rows)
                self._remember(current)
            self._bring_up(current, {row.name: row.needs for row in rows})

    def start(self, name: str, wait: bool = True) -> None:
        """Start this one process only, if it does not run; by default wait until it is ready."""
        with self._changing() as current:
            self._bring_up(current, {name: ()}, wait)

    def stop(self, name: str) -> None:
        """Stop this one process, gently."""
        with self._changing() as current:
            self._launcher(current, name).take_down()
            current.completed.pop(name, None)  # so that what runs once runs again
            self._remember(current)

    def restart(self, name: str) -> None:
        """Stop and start this one process."""
        self.stop(name)
        self.start(name)

    def kill(self, name: str) -> None:
        """SIGKILL to the process and its children, all at once."""
        with self._changing() as current:
            _row(current, name)
            processes.kill(self.paths, name)

    def spawn(
        self, name: str, like: str, *arguments: str, env: Mapping[str, str] | None = None, wait: bool = True
    ) -> Spawned:
        """Start a further process like a row of the table (`api`, `work`, …) on free ports of its own.

        Args:
            name: how to speak of it from now on, in `stop`, `kill`, `logs`; it is forgotten by `down`.
            like: the row whose command, probe and ports' names it shares.
            arguments: more arguments for its command, as in `--only search`.
            env: variables that replace the stack's, for this process only.
            wait: whether to wait until it is ready.
        """
        row = named(like)
        with self._changing() as current:
            if name in TABLE or processes.running(self.paths, name):
                raise StackError(f"{name!r} exists already")
            with locks.held(self.paths.ports_lock):
                chosen = ports.choose_free(row.ports, self._ports_of_all(current))
                current.spawned[name] = Spawned(like, list(arguments), dict(env or {}), chosen)
                self._remember(current)
            self._bring_up(current, {name: ()}, wait)
            return current.spawned[name]

    def down(self) -> None:
        """Stop everything of this stack and nothing else; its data stays."""
        with self._changing() as current:
            needs = {name: all_needs(name) for name in TABLE}
            needs |= {name: all_needs(spawned.like) for name, spawned in current.spawned.items()}
            lives = {name: needs[name] for name in needs if locks.is_held(self.paths.lock(name))}
            board = Board(self._console)

            def take_down(name: str) -> None:
                board.say(name, "stopping")
                self._launcher(current, name).take_down()
                board.done(name, "stopped")

            with board.shown():
                dependencies.run(dependencies.reverse(lives), take_down, threading.Event())
            for name in needs:
                self.paths.record(name).unlink(missing_ok=True)
            current.spawned.clear()
            self._remember(current)

    def clean(self) -> None:
        """Take it down and delete its data, ports and passwords."""
        self.down()
        postgres.forget(self._context(self._load(), "postgres"))
        shutil.rmtree(self.paths.folder)

    # How that is done

    def _known(self) -> State:
        """The state once it is remembered: free ports are chosen once, and not anew by each question."""
        if not self.paths.state.exists():
            with self._changing() as current:
                return current
        return self._load()

    def _load(self) -> State:
        current = state.load(self.paths.state)
        if not current.ports:
            # Nothing is remembered yet, so answer as a first `up` would.
            current.free_ports = self._wants_free_ports
        lacking = [name for name in DEFAULT_PORTS if name not in current.ports]
        if current.free_ports:
            current.ports |= ports.choose_free(lacking, self._ports_of_all(current))
        else:
            current.ports |= {name: DEFAULT_PORTS[name] for name in lacking}
        return current

    def _remember(self, current: State) -> None:
        state.save(self.paths.state, current)
        state.write_private(self.paths.env, environment.as_shell(environment.variables(current)))

    @contextmanager
    def _changing(self) -> Iterator[State]:
        self.paths.create()

        def waiting() -> None:
            self._console.print(f"waiting for another launcher of the stack {self.paths.name!r}", markup=False)

        with locks.held(self.paths.launcher_lock, waiting):
            with locks.held(self.paths.ports_lock):
                current = self._load()
                self._remember(current)
            yield current

    def _make_way(self, current: State, rows: Sequence[Process]) -> None:
        """See before anything is started that no port is taken by others; free ports are simply chosen anew."""
        idle = [row for row in rows if not locks.is_held(self.paths.lock(row.name))]
        busy = [name for row in idle for name in row.ports if not ports.is_free(current.ports[name])]
        if busy and not current.free_ports:
            raise StackError(taken({name: current.ports[name] for name in busy}, current.ports.values()))
        current.ports |= ports.choose_free(busy, self._ports_of_all(current))

    def _ports_of_all(self, current: State) -> set[int]:
        """Ports that this stack and its neighbours have chosen, even if nothing listens there at the moment."""
        neighbours = [state.load(path) for path in self.paths.home.glob("*/state.json")]
        spawned = [spawned.ports for each in (current, *neighbours) for spawned in each.spawned.values()]
        chosen = [current.ports, *(each.ports for each in neighbours), DEFAULT_PORTS, *spawned]
        return {port for some in chosen for port in some.values()}

    def _bring_up(self, current: State, needs: dependencies.Needs, wait: bool = True) -> None:
        board, cancel = Board(self._console), threading.Event()

        def bring_up(name: str) -> None:
            launcher = self._launcher(current, name, lambda text: board.say(name, text), cancel)
            try:
                board.done(name, self._one(current, launcher, wait))
            except Exception as error:
                board.fail(name, "given up" if isinstance(error, Cancelled) else "failed")
                raise

        with board.shown():
            dependencies.run(needs, bring_up, cancel)

    def _one(self, current: State, launcher: Launcher, wait: bool) -> str:
        if not launcher.row.runs_once:
            return launcher.bring_up(wait)
        name = launcher.row.name
        text, current.completed[name] = launcher.complete(current.completed.get(name))
        self._remember(current)
        return text

    def _see(self, current: State, name: str) -> Seen:
        launcher = self._launcher(current, name)
        row, record = launcher.row, processes.running(self.paths, name)
        own = {key: launcher.context.ports[key] for key in row.ports}
        page = f"http://127.0.0.1:{own[row.page]}" if row.page else ""
        if record:
            return Seen(name, "ready" if launcher.is_ready() else "not ready", record.pid, record.started_at, own, page)
        if name in current.completed:
            return Seen(name, "done", None, None, own, page)
        died = processes.record_of(self.paths, name) is not None
        return Seen(name, "died" if died else "stopped", None, None, own, page)

    def _launcher(
        self,
        current: State,
        name: str,
        say: Callable[[str], None] = lambda text: None,
        cancel: threading.Event | None = None,
    ) -> Launcher:
        return Launcher(_row(current, name), self._context(current, name, say), cancel or threading.Event())

    def _context(self, current: State, name: str, say: Callable[[str], None] = lambda text: None) -> InstallContext:
        spawned = current.spawned.get(name)
        own_ports, own_env = (spawned.ports, spawned.env) if spawned else ({}, {})
        env = environment.variables(current) | own_env
        listens, password = current.ports | own_ports, current.postgres_password
        return InstallContext(name, self.paths, listens, env, password, say, current.throwaway)


def _row(current: State, name: str) -> Process:
    spawned = current.spawned.get(name)
    if spawned is None:
        return named(name)
    like = named(spawned.like)
    return dataclasses.replace(like, name=name, command=f"{like.command} {shlex.join(spawned.arguments)}")


def _choose_ports(current: State, chosen: Mapping[str, int]) -> None:
    if unknown := [name for name in chosen if name not in DEFAULT_PORTS]:
        raise StackError(f"no port is called {unknown[0]!r}; there are: {', '.join(DEFAULT_PORTS)}")
    current.ports |= chosen
    for name, port in chosen.items():
        if twice := [other for other in current.ports if other != name and current.ports[other] == port]:
            raise StackError(f"port {port} is already meant for {twice[0]}; choose another for {name}")
