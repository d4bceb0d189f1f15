"""What the bench says while it works, apart from the table that it prints at the end."""

from __future__ import annotations

from rich.console import Console

_console = Console(stderr=True, highlight=False)


def say(text: str) -> None:
    """One line about what is going on."""
    _console.print(text, style="dim", markup=False)
