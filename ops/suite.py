"""Runs the whole suite from nothing, in lanes side by side, each on its own stack; whatever happens, nothing runs on.

Tests wait far more than they compute, so lanes cost little more than one. What kills servers has lanes apart from what
needs them. The last line is pytest's closing line, summed over the lanes: who reads only the end reads the truth.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

LINT = (
    (f"{BIN}/ruff", "check"),
    (f"{BIN}/ruff", "format", "--check"),
    (f"{BIN}/mypy",),
    (f"{BIN}/lint-imports",),
)
FAULTS = ("tests/faults", "tests/chaos")


class Lane(NamedTuple):
    """Tests that share a stack; the stack bears the lane's name."""

    stack: str
    pytest: tuple[str, ...]


LANES = (
    Lane("test", ("-n", "4", "-m", "not disruptive")),
    Lane("test-faults", ("-m", "disruptive", *FAULTS)),
    Lane("test-outages", ("-m", "disruptive", *(f"--ignore={folder}" for folder in FAULTS))),
)
NO_TESTS = 5


def main(arguments: list[str]) -> int:
    """Lint, then test; with --lint only the former."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # so that `finally` below is reached
    if arguments == ["--lint"]:
        return _lint()
    return _lint() or _in_lanes()


def _in_lanes() -> int:
    started = time.monotonic()
    code, tally = 1, Counter[str]()
    try:
        for lane in LANES:  # one after the other, since the first installs what is missing
            _stack("clean", lane)
            # Servers only: our own processes start with the settings of tests/conftest.py.
            _stack("up", lane, "--servers", "--ports", "free")
        code, tally = _test()
    except subprocess.CalledProcessError as failed:
        print(f"failed: {failed}", file=sys.stderr)
    finally:
        for lane in LANES:
            subprocess.run(_stack_command("down", lane), cwd=ROOT, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    names = ", ".join(lane.stack for lane in LANES)
    print(f"\nThe whole suite took {seconds:.0f} s on the stacks {names}; their logs: .seatwright/<stack>/logs")
    print(_closing_line(tally, seconds))
    return code


def _lint() -> int:
    return next((code for code in map(_run, LINT) if code), 0)


def _test() -> tuple[int, Counter[str]]:
    running = [_start(lane) for lane in LANES]
    with ThreadPoolExecutor(len(LANES)) as readers:
        try:
            tally = sum(readers.map(_relay, LANES, running), Counter[str]())
        except BaseException:
            for pytest in running:
                pytest.terminate()
            raise
    codes = [pytest.wait() for pytest in running]
    return next((code for code in codes if code not in (0, NO_TESTS)), 0 if 0 in codes else NO_TESTS), tally


def _start(lane: Lane) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", *lane.pytest]
    print(f"[{lane.stack}] $ python", *command[1:], flush=True)
    environment = os.environ | {"SEATWRIGHT_STACK": lane.stack}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def _relay(lane: Lane, pytest: subprocess.Popen[str]) -> Counter[str]:
    """Print what a lane says under its name; return the counts of its closing line."""
    last = ""
    for line in pytest.stdout or ():
        print(f"[{lane.stack}] {line}", end="", flush=True)
        last = line if line.strip() else last
    counted = re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)", last)
    return Counter({word.rstrip("s") if word != "passed" else word: int(n) for n, word in counted})


def _closing_line(tally: Counter[str], seconds: float) -> str:
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
    counts = [f"{tally[word]} {word}" for word in order if tally[word]]
    return f" {', '.join(counts) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def _stack(verb: str, lane: Lane, *arguments: str) -> None:
    subprocess.run([*_stack_command(verb, lane), *arguments], cwd=ROOT, check=True)


def _stack_command(verb: str, lane: Lane) -> list[str]:
    return [sys.executable, "-m", "stack", verb, "--name", lane.stack]


def _run(command: tuple[str, ...]) -> int:
    print("$", Path(command[0]).name, *command[1:], flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
