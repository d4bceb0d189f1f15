"""`python -m ops.alerts` lets sloth, which Go builds once, make the rules of the objectives."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Final

from stack.install_context import InstallContext
from stack.paths import Paths
from stack.servers import golang

VERSION: Final = "v0.16.0"
HERE = Path(__file__).parent
OBJECTIVES = HERE / "objectives.yaml"
RULES = HERE / "rules" / "objectives.yaml"


def mark() -> str:
    """The first line of the rules: what they were made of, so that a test notices without sloth that they are old."""
    made_of = hashlib.sha256(f"{VERSION} {OBJECTIVES.read_text()}".encode()).hexdigest()
    return f"# Of objectives.yaml by sloth {VERSION}: {made_of}\n"


def generated() -> str:
    """The rules, as sloth makes them now.

    Raises:
        subprocess.CalledProcessError: The objectives are wrong.
    """
    paths = Paths("alerts")
    paths.create()  # for the log of the build
    context = InstallContext("sloth", paths, {}, {}, "", print)
    sloth = golang.built(context, "sloth", "github.com/slok/sloth/cmd/sloth", version=VERSION) / "sloth"
    command = [str(sloth), "generate", "--no-log", "-i", str(OBJECTIVES)]
    return mark() + subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.lstrip()


if __name__ == "__main__":
    RULES.write_text(generated())
