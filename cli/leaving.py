"""How the command ends: with its own exit code, whatever the Temporal SDK's threads do to a finishing interpreter."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from cli.commands import app


def main() -> None:
    """Run the command `seatwright`."""
    leave_after(lambda: app(prog_name="seatwright"))


def leave_after(command: Callable[[], object]) -> None:
    """Run a command and leave at once, flushed.

    Threads of temporalio 1.35 that outlive `main` abort the interpreter while it finalizes ("PyGILState_Release"), in
    about every fifth run that was measured; a command that did its work must not exit with 134 for that.
    """
    code: object = 0
    try:
        command()
    except SystemExit as leaving:
        code = leaving.code
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
