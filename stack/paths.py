"""Where a stack keeps its files."""

from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
COMPILED = CHECKOUT / ".seatwright" / "pycache"
"""Python's compiled files, out of the way of the sources."""


@dataclass(frozen=True)
class Paths:
    """The folders of one stack: `<home>/<name>/…`, and `<home>/tools`, which all stacks share."""

    name: str
    home: Path = CHECKOUT / ".seatwright"
    tools: Path = CHECKOUT / ".seatwright" / "tools"

    @property
    def folder(self) -> Path:
        """All that belongs to this stack alone, and that `clean` deletes."""
        return self.home / self.name

    @property
    def state(self) -> Path:
        """Ports, passwords and what was asked for."""
        return self.folder / "state.json"

    @property
    def env(self) -> Path:
        """The SEATWRIGHT_ variables, to be sourced by a shell."""
        return self.folder / "env"

    @property
    def launcher_lock(self) -> Path:
        """Held by the one launcher that is changing this stack."""
        return self.folder / "launcher.lock"

    @property
    def ports_lock(self) -> Path:
        """Held by a stack that chooses ports, until all other stacks can read which."""
        return self.home / "ports.lock"

    def data(self, process: str) -> Path:
        """The folder that outlives the process."""
        return self.folder / "data" / process

    def log(self, process: str) -> Path:
        """Everything that the process, or its installation, printed."""
        return self.folder / "logs" / f"{process}.log"

    def record(self, process: str) -> Path:
        """Who runs, as written by the process itself before it became the server."""
        return self.folder / "run" / f"{process}.json"

    def lock(self, process: str) -> Path:
        """Held by the process, and by its children, for as long as one of them lives."""
        return self.folder / "run" / f"{process}.lock"

    def create(self) -> None:
        """Make the folders; only their owner may read them, since they hold passwords."""
        for folder in ("data", "logs", "run"):
            (self.folder / folder).mkdir(parents=True, exist_ok=True)
