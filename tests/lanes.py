"""The whole suite in lanes, each on a stack of its own; `turns` says which of them run at the same time.

What kills servers has lanes apart from what needs them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent

CORES = len(os.sched_getaffinity(0))
_WORKERS = min(CORES + 5, 8)  # a test that disturbs no other one waits more than half of its time
_IN_TURNS = CORES < 3
# Each of them waits for servers that start, and for timeouts, half of its time. In turns, the first takes over the
# stack of the shared lane: to start one costs two cores a quarter of a minute.
_DISRUPTIVE = ("" if _IN_TURNS else "-a", "-b", "-c")
_AUDIT_ALL = {"audit/test_at_scale.py", "chaos/test_chaos.py", "docs/test_operations_examples.py"}
"""What audits all that its stack has sold. The shared lane leaves findings, to see that they are found."""
# Seconds that the long ones took once on two cores, so that the lanes end at about the same time.
_SECONDS = {
    "api/test_schema.py": 38,
    "chaos/test_chaos.py": 52,
    "faults/test_clocks.py": 18,
    "faults/test_commits.py": 30,
    "faults/test_early_commands.py": 14,
    "faults/test_exchanges.py": 26,
    "faults/test_network.py": 26,
    "faults/test_outside.py": 18,
    "faults/test_saga.py": 45,
    "providers/test_table.py": 38,
    "scenarios/test_attention.py": 24,
    "scenarios/test_call_limits.py": 20,
    "scenarios/test_event_cancellation.py": 55,
    "scenarios/test_exchange_crashes.py": 22,
    "scenarios/test_late_payments.py": 13,
    "scenarios/test_logs.py": 12,
    "scenarios/test_lost_commands.py": 21,
    "scenarios/test_outages.py": 100,
    "scenarios/test_refund_crashes.py": 24,
    "scenarios/test_services.py": 34,
    "scenarios/test_webhooks.py": 14,
}
_OTHERS = 8
# The same of the shared lane.
_SHARED_SECONDS = {
    "adapters/test_call_limit.py": 32,
    "api/test_fresh_log_in.py": 29,
    "api/test_generated_client.py": 29,
    "api/test_limits.py": 52,
    "audit/test_refund_invariants.py": 33,
    "audit/test_sagas.py": 46,
    "scenarios/test_amount_differences.py": 31,
    "scenarios/test_event_cancellation.py": 33,
    "scenarios/test_exchange_payments.py": 44,
    "scenarios/test_iyzico_refunds.py": 28,
    "scenarios/test_late_by_hand.py": 76,
    "scenarios/test_late_payments.py": 150,
    "scenarios/test_late_rivals.py": 150,
    "scenarios/test_lost_sagas.py": 32,
    "scenarios/test_reconciling.py": 33,
    "scenarios/test_refund_notifications.py": 45,
    "scenarios/test_refunds.py": 43,
    "scenarios/test_three_d_secure.py": 42,
    "workers/test_retries.py": 55,
    "workers/test_runner.py": 48,
}
_SHORT = 20
_NO_TESTS = 5
_FEW_LEFT = re.compile(r"\[( 9[5-9]|100)%\]$")


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
        junit: A folder to leave each lane's results in, as JUnit's XML.
    """
    # Tests of a file share their fixtures; `in_turn` says which file comes when.
    shared = ("-n", str(_WORKERS), "--dist", "loadfile", "--no-loadscope-reorder", "-m", "not disruptive")
    found: list[tuple[str, tuple[str, ...]]] = [("", shared)]
    found += [(name, ("-m", "disruptive", *files)) for name, files in zip(_DISRUPTIVE, _dealt(), strict=True)]
    return [
        Lane(stack + name, (*arguments, *((f"--junitxml={junit / f'{number}.xml'}",) if junit else ())))
        for number, (name, arguments) in enumerate(found)
    ]


def _dealt() -> list[list[str]]:
    """The files with disruptive tests, dealt to the lanes: the longest first, each to the lane that has the least."""
    dealt: list[list[str]] = [[] for _ in _DISRUPTIVE]
    for file in sorted(_files(), key=_seconds, reverse=True):
        takers = dealt[1:] if _IN_TURNS and file.removeprefix("tests/") in _AUDIT_ALL else dealt
        min(takers, key=lambda files: sum(map(_seconds, files))).append(file)
    return [sorted(files) for files in dealt]


def _files() -> list[str]:
    found = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(path.relative_to(ROOT)) for path in found if "pytest.mark.disruptive" in path.read_text()]


def _seconds(file: str) -> int:
    return _SECONDS.get(file.removeprefix("tests/"), _OTHERS)


def in_turn(file: str, seed: str) -> float:
    """The key by which the shared lane sorts its files.

    The seed mixes files that wait with files that keep a core busy. A long file comes early, since one that a single
    worker still runs when all others have ended leaves a core idle.
    """
    drawn = int.from_bytes(sha256(f"{seed} {file}".encode()).digest()[:8])
    return drawn / max(1.0, _SHARED_SECONDS.get(file.removeprefix("tests/"), 0) / _SHORT)


def turns(of: Sequence[Lane]) -> list[list[Lane]]:
    """Which lanes run at the same time: all of them, but on two cores the shared one, which keeps both busy, is alone.

    With it, three stacks at once made calls wait for longer than the product promises, and tests saw its 503.
    """
    return [list(of[:1]), list(of[1:])] if _IN_TURNS else [list(of)]


def joined(turns: Iterable[Ended]) -> Ended:
    """What several turns came to, together."""
    ended = list(turns)
    code = next((each.code for each in ended if each.code), 0)
    counts = sum((each.counts for each in ended), Counter[str]())
    return Ended(code, counts, [line for each in ended for line in each.broken])


def run(
    of: Sequence[Lane],
    *arguments: str,
    environment: Mapping[str, str],
    before: Callable[[Lane], None] = lambda lane: None,
    nearly_over: Callable[[], None] = lambda: None,
    after: Callable[[Lane], None] = lambda lane: None,
) -> Ended:
    """Run all lanes at a time, and print what they say, each under its name.

    Args:
        before: Called for each lane before it starts, while others run already.
        nearly_over: Called when a lane has few tests left; it must not take long.
        after: Called when a lane has ended, while others still run.
    """
    running: list[subprocess.Popen[str]] = []
    given_up = Event()

    def to_its_end(lane: Lane) -> tuple[int, list[str]]:
        before(lane)
        if given_up.is_set():
            return 1, []
        running.append(pytest := _start(lane, arguments, environment))
        said = _relay(lane, pytest, nearly_over)
        code = pytest.wait()
        after(lane)
        return code, said

    with ThreadPoolExecutor(len(of)) as threads:
        try:
            ended = list(threads.map(to_its_end, of))
        except BaseException:
            given_up.set()
            for pytest in running:
                pytest.terminate()
            raise
    codes = [code for code, _ in ended]
    code = next((code for code in codes if code not in (0, _NO_TESTS)), 0 if 0 in codes else _NO_TESTS)
    counts = sum((_counts(lines) for _, lines in ended), Counter[str]())
    return Ended(code, counts, [line for _, lines in ended for line in _broken(lines)])


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


def _relay(lane: Lane, pytest: subprocess.Popen[str], nearly_over: Callable[[], None]) -> list[str]:
    lines, has_many_left = [], True
    for line in pytest.stdout or ():
        print(f"[{lane.stack}] {line}", end="", flush=True)
        lines.append(line.rstrip())
        if has_many_left and _FEW_LEFT.search(line):
            has_many_left = False
            nearly_over()
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
