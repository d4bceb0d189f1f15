"""Lints, and runs the whole suite from nothing; whatever happens, nothing of it runs on.

The last lines are what broke, and pytest's closing line summed over the lanes: the end alone shows the whole result.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import FrameType
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # started by its path, Python knows only the folder of this file

from tests.lanes import Ended, Lane, joined, lanes, run, turns  # noqa: E402

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
    (sys.executable, "ops/plain_english.py"),
)
LANES = lanes("test")


def main(arguments: list[str]) -> int:
    """Lint, then test; with --lint only the former."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # so that `finally` below is reached
    if arguments == ["--lint"]:
        return _lint()
    return _lint_and_test()


class _Stacks:
    """Starts the servers of each lane once. Our own processes start later, with the settings of tests/conftest.py."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._starts: dict[str, Future[None]] = {}

    def begin(self, lanes: Iterable[Lane]) -> None:
        """Start those that have not begun."""
        for lane in lanes:
            if lane.stack not in self._starts:
                self._starts[lane.stack] = self._threads.submit(_start, lane)

    def wait_for(self, lane: Lane) -> None:
        """Return when the lane's servers are ready."""
        self.begin([lane])
        self._starts[lane.stack].result()


def _lint_and_test() -> int:
    started = time.monotonic()
    ended: list[Ended] = []
    try:
        with ThreadPoolExecutor() as threads:  # all of them have ended before the stacks go down
            linted, compiled = threads.submit(_lint_beside), threads.submit(_compile_tests)
            stacks = _Stacks(threads)
            stacks.wait_for(LANES[0])  # before the others, since it installs what is missing
            compiled.result()
            in_turn = turns(LANES)
            for number, lanes in enumerate(in_turn, 1):
                if linted.done() and linted.result():
                    break
                begin_others, down = partial(stacks.begin, LANES), partial(_down_unless, in_turn[number:])
                ended.append(run(lanes, environment={}, before=stacks.wait_for, nearly_over=begin_others, after=down))
    except subprocess.CalledProcessError as failed:
        ended.append(Ended(1, Counter(), [f"failed: {failed}"]))
    finally:
        for lane in LANES:
            _down(lane)
    seconds = time.monotonic() - started
    names = ", ".join(dict.fromkeys(lane.stack for lane in LANES))
    print(f"\nThe whole suite took {seconds:.0f} s on the stacks {names}; their logs: .seatwright/<stack>/logs")
    tests = joined(ended)
    broken = [*tests.broken[-60:], *(["failed: lint, see [lint] above"] if linted.result() else [])]
    print(*broken, _closing_line(tests.counts, seconds), sep="\n")
    return linted.result() or tests.code


def _start(lane: Lane) -> None:
    with _in_one_piece(lane.stack) as said:
        for verb, *arguments in (("clean",), ("up", "--servers", "--throwaway", "--ports", "free")):
            command = [*_stack_command(verb, lane), *arguments]
            subprocess.run(command, cwd=ROOT, stdout=said, stderr=said, check=True)


def _down_unless(others: Sequence[Sequence[Lane]], lane: Lane) -> None:
    """Stop the lane's stack, unless one of the others takes it over."""
    if all(lane.stack != other.stack for turn in others for other in turn):
        _down(lane)


def _down(lane: Lane) -> None:
    subprocess.run(_stack_command("down", lane), cwd=ROOT, stderr=subprocess.DEVNULL)


def _compile_tests() -> None:
    """Compile the tests of a new checkout, which each process of a lane would do; what is wrong, the lanes report."""
    if any(Path(sys.pycache_prefix or ROOT).glob("**/tests/conftest.*-pytest-*.pyc")):
        return  # the few that have changed since cost less than to collect all tests once more
    command = [sys.executable, "-m", "pytest", "--collect-only"]
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600)


@contextmanager
def _in_one_piece(name: str) -> Iterator[IO[str]]:
    """What is printed into this is printed at its end; a file, since what is started may keep a pipe open."""
    with tempfile.TemporaryFile("w+") as said:
        try:
            yield said
        finally:
            said.seek(0)
            print(f"[{name}]", said.read(), sep="\n", end="", flush=True)


def _lint(out: IO[str] | None = None) -> int:
    return next((code for code in (_run(command, out) for command in LINT) if code), 0)


def _lint_beside() -> int:
    """Lint with what tests leave of the processor."""
    with _in_one_piece("lint") as said:
        return _run(("nice", "-n", "15", sys.executable, __file__, "--lint"), said)


def _closing_line(tally: Counter[str], seconds: float) -> str:
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
    counts = [f"{tally[word]} {word}" for word in order if tally[word]]
    return f" {', '.join(counts) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def _stack_command(verb: str, lane: Lane) -> list[str]:
    return [sys.executable, "-m", "stack", verb, "--name", lane.stack]


def _run(command: tuple[str, ...], out: IO[str] | None) -> int:
    print("$", Path(command[0]).name, *command[1:], file=out, flush=True)
    return subprocess.run(command, cwd=ROOT, stdout=out, stderr=out, check=False).returncode


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
