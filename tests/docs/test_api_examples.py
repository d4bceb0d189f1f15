"""The shell examples of docs/api.md, run from top to bottom in one shell, as that page promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.architecture.test_packages import ROOT

PAGE = ROOT / "docs" / "api.md"
_WRONG = {"000", "400", "401", "403", "404", "409", "422", "429"}
_PRELUDE = r"""set -euo pipefail
curl() { command curl --max-time 120 -w '%{stderr}status=%{http_code}\n' "$@"; }
"""


def script(api_url: str, folder: Path) -> str:
    """The page's shell examples as one script against the API at this address."""
    examples = "\n".join(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))
    assert "API=http://127.0.0.1:8000\n" in examples
    examples = examples.replace("API=http://127.0.0.1:8000\n", f"API={api_url}\n").replace("/tmp/", f"{folder}/")
    return _PRELUDE + examples.replace(".venv/bin/seatwright", f"{sys.executable} -m cli")


def run(command: list[str], stack_env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a command prints in the stack's environment."""
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | stack_env, capture_output=True, text=True, check=False, timeout=500
    )


def test_every_shell_example_of_the_integrators_page_works(
    stack_env: dict[str, str], api_url: str, tmp_path: Path
) -> None:
    demo = run([sys.executable, "-m", "cli", "demo"], stack_env)  # it makes the events that the page speaks of
    assert demo.returncode == 0, demo.stdout + demo.stderr
    shown = run(["bash", "-c", script(api_url, tmp_path)], stack_env)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    statuses = re.findall(r"status=(\d+)", shown.stderr)
    assert not _WRONG & set(statuses), (statuses, shown.stdout)
    assert statuses.count("402") == 1, "one example shows a declined card"
    assert not [status for status in statuses if status.startswith("5")]
