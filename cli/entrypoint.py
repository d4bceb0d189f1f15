"""Starts the `seatwright` command and exits with its exit code, whatever threads the Temporal SDK leaves behind."""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.set_threshold(50_000)  # collections would take a fifth of the time of the imports, which make no garbage

import logging
import os
import sys
from collections.abc import Callable

from cli.commands import app


def main() -> None:
    """Run the command `seatwright`."""
    run_and_exit(lambda: app(prog_name="seatwright"))


def run_and_exit(command: Callable[[], object]) -> None:
    """Run a command, flush the output, and exit without finalizing the interpreter.

    Threads of temporalio 1.35 that outlive `main` abort a finalizing interpreter ("PyGILState_Release"), in about one
    of five measured runs. A command that has succeeded must not exit with 134 for that reason.
    """
    code: object = 0
    try:
        command()
    except SystemExit as requested:
        code = requested.code
    except BaseException:
        logging.getLogger("cli").exception("failed")
        code = 1
    if isinstance(code, str):
        print(code, file=sys.stderr)
        code = 1
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 0)
