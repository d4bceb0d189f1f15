"""Processes of the benchmark beside a stack: they use its settings and log folder, and end with the benchmark."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from stack import Stack

_READY_SECONDS = 60.0


@contextmanager
def running(
    stack: Stack, verb: str, *arguments: str, ready: str, env: Mapping[str, str] | None = None
) -> Iterator[int]:
    """Run `python -m bench <verb>` until the block ends; yields its process id when a GET of `ready` succeeds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SEATWRIGHT_")}
    with stack.paths.log(f"bench-{verb}").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench", verb, *arguments],
            env=environment | stack.env | dict(env or {}),
            stdout=log,
            stderr=log,
        )
    try:
        _wait(process, ready, str(stack.paths.log(f"bench-{verb}")))
        yield process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait(process: subprocess.Popen[bytes], url: str, log: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"a process of the benchmark does not start: see {log}")
