"""Progress messages on standard error."""

from __future__ import annotations

from rich.console import Console

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """Print one line of progress."""
    _console.print(text, style="dim", markup=False)
