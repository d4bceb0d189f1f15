"""Shows who is at what, and for how long: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

HEARTBEAT = 10.0
FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@dataclass
class Step:
    """What one process is doing now; `seconds` is set once it has come to an end."""

    text: str = "waiting"
    started: float = field(default_factory=time.monotonic)
    seconds: float | None = None
    failed: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds so far, or in all."""
        return time.monotonic() - self.started if self.seconds is None else self.seconds


class Board:
    """The steps of all processes; safe to update from several threads."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: dict[str, Step] = {}
        self._lock = threading.Lock()

    def say(self, name: str, text: str) -> None:
        """The process has come to a new step."""
        self._tell(name, text)

    def done(self, name: str, text: str) -> None:
        """The process is where it should be."""
        self._tell(name, text, ended=True)

    def fail(self, name: str, text: str) -> None:
        """The process will not get there."""
        self._tell(name, text, ended=True, failed=True)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Keep the terminal up to date during the block."""
        if self._console.is_terminal:
            with Live(get_renderable=self._table, console=self._console, refresh_per_second=8):
                yield
        else:
            ended = threading.Event()
            heart = threading.Thread(target=self._heartbeat, args=(ended,), daemon=True)
            heart.start()
            try:
                yield
            finally:
                ended.set()

    def _tell(self, name: str, text: str, ended: bool = False, failed: bool = False) -> None:
        with self._lock:
            step = self._steps.setdefault(name, Step())
            step.text, step.failed = text, failed
            step.seconds = step.elapsed if ended else None
        if not self._console.is_terminal:
            self._line(name, step)

    def _line(self, name: str, step: Step) -> None:
        self._console.print(f"{name:<14} {step.text}  {step.elapsed:.1f} s", highlight=False, markup=False)

    def _heartbeat(self, ended: threading.Event) -> None:
        while not ended.wait(HEARTBEAT):
            for name, step in list(self._steps.items()):
                if step.seconds is None:
                    self._line(name, step)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        with self._lock:
            for name, step in self._steps.items():
                table.add_row(_mark(step), name, Text(step.text), Text(f"{step.elapsed:.1f} s", "dim"))
        return table


def _mark(step: Step) -> Text:
    if step.seconds is None:
        return Text(FRAMES[int(time.monotonic() * 8) % len(FRAMES)], "cyan")
    return Text("✗", "red") if step.failed else Text("✓", "green")
