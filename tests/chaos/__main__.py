"""Chaos from the command line (`make chaos`): on a stack of its own, and exit code 1 on anything unexplained."""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
from types import FrameType
from typing import NoReturn

from rich.console import Console

from stack import Stack
from tests.chaos.report import lines_of
from tests.chaos.run import run
from tests.conftest import TEST_SETTINGS, settings_of


def main() -> int:
    """Run chaos, print the result, and stop all processes; logs and journal stay with the stack."""
    signal.signal(signal.SIGTERM, _interrupt)  # so that `finally` below is reached
    options = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    options.add_argument("--seconds", type=float, default=60, help="how long to break things")
    options.add_argument("--rate", type=float, default=5, help="buyers a second")
    options.add_argument("--seed", type=int, default=None, help="one that was printed, to have the same again")
    options.add_argument("--stack", default="chaos", help="its data is deleted first")
    given = options.parse_args()
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    print(f"chaos for {given.seconds:.0f} s at {given.rate} buyers a second, seed {seed}", flush=True)
    stack = Stack(given.stack, ports="free")
    try:
        stack.clean()
        stack.up(settings=TEST_SETTINGS)
        quiet = Stack(given.stack, console=Console(quiet=True))
        result = asyncio.run(run(quiet, settings_of(stack.env), seed=seed, seconds=given.seconds, rate=given.rate))
    finally:
        stack.down()
    print("\n".join(lines_of(result, seed)), flush=True)
    return 0 if result.is_clean else 1


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)  # see `cli.entrypoint` for what the Temporal SDK's threads would make of it
