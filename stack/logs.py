"""Prints what the processes wrote, each line behind its process's name; can go on as they write."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.text import Text

from stack.paths import Paths

COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_red", "bright_cyan", "bright_magenta", "bright_green")
REACH = 200_000


def show(console: Console, paths: Paths, names: Iterable[str], lines: int, follow: bool) -> None:
    """Print the last lines of each log; with `follow`, then all that is added, until interrupted."""
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    ends: dict[str, int] = {}
    for name in colours:
        text, ends[name] = _tail(paths.log(name))
        for line in text.splitlines()[-lines:]:
            _print(console, name, colours[name], line)
    while follow:
        for name in colours:
            added, ends[name] = _added(paths.log(name), ends[name])
            for line in added.splitlines():
                _print(console, name, colours[name], line)
        time.sleep(0.2)


def _print(console: Console, name: str, colour: str, line: str) -> None:
    console.print(Text(f"{name:<14} ", colour) + Text.from_ansi(line), soft_wrap=True)


def _tail(log: Path) -> tuple[str, int]:
    return _read(log, max(0, _size(log) - REACH))


def _added(log: Path, since: int) -> tuple[str, int]:
    # A log that has become shorter was set aside and begun anew.
    return _read(log, since if _size(log) >= since else 0)


def _read(log: Path, since: int) -> tuple[str, int]:
    """Whole lines from there on, and where they end; half a line waits for its other half."""
    try:
        with log.open("rb") as file:
            file.seek(since)
            return _whole_lines(file, since)
    except FileNotFoundError:
        return "", 0


def _whole_lines(file: BinaryIO, since: int) -> tuple[str, int]:
    content = file.read()
    content = content[: content.rfind(b"\n") + 1]
    return content.decode(errors="replace"), since + len(content)


def _size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
