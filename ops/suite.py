"""Runs the whole suite on a stack of its own, from nothing, and leaves nothing running whatever happens.

The last line is pytest's closing line, summed over both phases, so that whoever reads only the end reads the truth.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STACK = "test"

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
# What kills servers needs the machine and the stack for itself.
PHASES = (("-n", "4", "-m", "not disruptive"), ("-m", "disruptive"))
NO_TESTS = 5


def main(arguments: list[str]) -> int:
    """Lint, then test; with --lint only the former."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)  # so that `finally` below is reached
    if arguments == ["--lint"]:
        return _lint()
    return _lint() or _on_own_stack()


def _on_own_stack() -> int:
    started = time.monotonic()
    code, tally = 1, Counter[str]()
    try:
        _stack("clean")
        _stack("up", "--servers", "--ports", "free")  # our own processes: with the settings of tests/conftest.py
        code, tally = _test()
    except subprocess.CalledProcessError as failed:
        print(f"failed: {failed}", file=sys.stderr)
    finally:
        subprocess.run([sys.executable, "-m", "stack", "down", "--name", STACK], cwd=ROOT, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - started
    print(f"\nThe whole suite took {seconds:.0f} s on the stack {STACK!r}; its logs: .seatwright/{STACK}/logs")
    print(_closing_line(tally, seconds))
    return code


def _lint() -> int:
    return next((code for code in map(_run, LINT) if code), 0)


def _test() -> tuple[int, Counter[str]]:
    tally = Counter[str]()
    codes = []
    for phase in PHASES:
        code, counted = _pytest(phase)
        codes.append(code)
        tally += counted
    return next((code for code in codes if code not in (0, NO_TESTS)), 0 if 0 in codes else NO_TESTS), tally


def _pytest(phase: tuple[str, ...]) -> tuple[int, Counter[str]]:
    command = [sys.executable, "-m", "pytest", *phase]
    print("$ python", *command[1:], flush=True)
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=_environment(), stdout=subprocess.PIPE, text=True) as pytest:
        try:
            for line in pytest.stdout or ():
                print(line, end="", flush=True)
                last = line if line.strip() else last
        except BaseException:
            pytest.terminate()
            raise
    counted = re.findall(r"(\d+) (passed|failed|errors?|skipped|xfailed|xpassed|warnings?)", last)
    return pytest.returncode, Counter({word.rstrip("s") if word != "passed" else word: int(n) for n, word in counted})


def _closing_line(tally: Counter[str], seconds: float) -> str:
    order = ("failed", "passed", "skipped", "xfailed", "xpassed", "warning", "error")
    counts = [f"{tally[word]} {word}" for word in order if tally[word]]
    return f" {', '.join(counts) or 'no tests ran'} in {seconds:.2f}s ".center(100, "=")


def _stack(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "stack", *arguments, "--name", STACK], cwd=ROOT, check=True)


def _run(command: tuple[str, ...]) -> int:
    print("$", Path(command[0]).name, *command[1:], flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def _environment() -> dict[str, str]:
    return os.environ | {"SEATWRIGHT_STACK": STACK}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
