"""The whole suite in lanes side by side, each on a stack of its own.

Tests wait far more than they compute, so lanes cost little more than one. What kills servers has lanes apart from what
needs them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

_FAULTS = ("tests/faults", "tests/chaos", "tests/workers", "tests/audit")
_MONEY = (
    "tests/providers",
    "tests/scenarios/test_event_cancellation.py",
    "tests/scenarios/test_exchange_crashes.py",
    "tests/scenarios/test_late_payments.py",
    "tests/scenarios/test_refund_crashes.py",
)
_LANES = {
    "": ("-n", "5", "-m", "not disruptive"),
    "-faults": ("-m", "disruptive", *_FAULTS),
    "-money": ("-m", "disruptive", *_MONEY),
    "-outages": ("-m", "disruptive", *(f"--ignore={path}" for path in (*_FAULTS, *_MONEY))),
}
_NO_TESTS = 5


class Lane(NamedTuple):
    """Tests that share a stack, and what pytest is told to run them."""

    stack: str
    pytest: tuple[str, ...]


class Ended(NamedTuple):
    """What the lanes came to: pytest's exit code, 0 only if all are, its counts (`passed`, `failed`, …), what broke."""

    code: int
    counts: Counter[str]
    broken: list[str]


def lanes(stack: str, *, junit: Path | None = None) -> list[Lane]:
    """All lanes; their stacks are named after the first's.

    Args:
        junit: A folder to leave each lane's results in, as JUnit's XML under its stack's name.
    """
    return [
        Lane(stack + name, (*arguments, *((f"--junitxml={junit / f'{stack}{name}.xml'}",) if junit else ())))
        for name, arguments in _LANES.items()
    ]


def run(of: Sequence[Lane], *arguments: str, environment: Mapping[str, str]) -> Ended:
    """Run all lanes at a time, and print what they say, each under its name."""
    running = [_start(lane, arguments, environment) for lane in of]
    with ThreadPoolExecutor(len(of)) as readers:
        try:
            said = list(readers.map(_relay, of, running))
        except BaseException:
            for pytest in running:
                pytest.terminate()
            raise
    codes = [pytest.wait() for pytest in running]
    code = next((code for code in codes if code not in (0, _NO_TESTS)), 0 if 0 in codes else _NO_TESTS)
    counts = sum((_counts(lines) for lines in said), Counter[str]())
    return Ended(code, counts, [line for lines in said for line in _broken(lines)])


def _start(lane: Lane, arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pytest", *lane.pytest, *arguments]
    print(f"[{lane.stack}] $ python", *command[1:], flush=True)
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | environment | {"SEATWRIGHT_STACK": lane.stack},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _relay(lane: Lane, pytest: subprocess.Popen[str]) -> list[str]:
    lines = []
    for line in pytest.stdout or ():
        print(f"[{lane.stack}] {line}", end="", flush=True)
        lines.append(line.rstrip())
    return lines


def _counts(lines: Sequence[str]) -> Counter[str]:
    last = next(filter(None, reversed(lines)), "")
    counted = re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)", last)
    return Counter({word.rstrip("s") if word != "passed" else word: int(n) for n, word in counted})


def _broken(lines: Sequence[str]) -> Iterator[str]:
    """What pytest said of each failure, without its sources: names, errors, and the short summary."""
    failures = False
    for line in lines:
        if title := re.fullmatch(r"=+ (.+?) =+", line):
            failures = title[1] in ("FAILURES", "ERRORS", "short test summary info")
        elif failures and re.match(r"E  |__+ |FAILED |ERROR |\S+:\d+: ", line):
            yield line
