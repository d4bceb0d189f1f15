"""Lints, and runs the whole suite from nothing; whatever happens, nothing of it runs on.

The last lines are what broke, and pytest's closing line summed over the lanes: who reads only the end reads the truth.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started by its path, Python knows only the folder of this file

from tests.lanes import Ended, Lane, lanes, run  # noqa: E402

BIN = Path(sys.executable).parent

PRODUCT = (
    "activities", "adapters", "api", "audit", "cli", "config", "db", "domain", "temporal", "workers", "workflows",
)  # fmt: skip
LINT = (
    (f"{BIN}/ruff", "check"),
    (f"{BIN}/ruff", "format", "--check"),
    (f"{BIN}/mypy",),
    (f"{BIN}/lint-imports",),
    # What runs in production; statements made of constants (B608, of low confidence) are left to reviewers.
    (f"{BIN}/bandit", "-q", "-ll", "-ii", "-r", *PRODUCT),
    (sys.executable, "ops/dependencies.py"),
)
LANES = lanes("test")


def main(arguments: list[str]) -> int:
    """Lint, then test; with --lint only the former."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # so that `finally` below is reached
    if arguments == ["--lint"]:
        return _lint()
    return _lint() or _in_lanes()


def _in_lanes() -> int:
    started = time.monotonic()
    ended = Ended(1, Counter(), [])
    try:
        _start(LANES[0])  # alone, since it installs what is missing
        with ThreadPoolExecutor(len(LANES)) as together:
            list(together.map(_start_beside, LANES[1:]))
        ended = run(LANES, environment={})
    except subprocess.CalledProcessError as failed:
        print(f"failed: {failed}", file=sys.stderr)
    finally:
        for lane in LANES:
            subprocess.run(_stack_command("down", lane), cwd=ROOT, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    names = ", ".join(lane.stack for lane in LANES)
    print(f"\nThe whole suite took {seconds:.0f} s on the stacks {names}; their logs: .seatwright/<stack>/logs")
    print(*ended.broken[-60:], _closing_line(ended.counts, seconds), sep="\n")
    return ended.code


def _start(lane: Lane, out: IO[str] | None = None) -> None:
    """From nothing, and servers only: our own processes start with the settings of tests/conftest.py."""
    for verb, *arguments in (("clean",), ("up", "--servers", "--ports", "free")):
        command = [*_stack_command(verb, lane), *arguments]
        subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=True)


def _start_beside(lane: Lane) -> None:
    """As `_start`, and tell in one piece what was said; through a file, since what is started may keep a pipe open."""
    with tempfile.TemporaryFile("w+") as said:
        try:
            _start(lane, said)
        finally:
            said.seek(0)
            print(f"[{lane.stack}]", said.read(), sep="\n", end="", flush=True)


def _lint() -> int:
    return next((code for code in map(_run, LINT) if code), 0)


def _closing_line(tally: Counter[str], seconds: float) -> str:
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
    counts = [f"{tally[word]} {word}" for word in order if tally[word]]
    return f" {', '.join(counts) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def _stack_command(verb: str, lane: Lane) -> list[str]:
    return [sys.executable, "-m", "stack", verb, "--name", lane.stack]


def _run(command: tuple[str, ...]) -> int:
    print("$", Path(command[0]).name, *command[1:], flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
