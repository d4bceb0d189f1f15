"""The examples for integrators; those of a page for the shell run from top to bottom in one shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.demo import CATALOGUE
from domain.booking_details import BookingDetails
from domain.money import format_money
from tests.architecture.test_packages import ROOT

PAGE, README = ROOT / "docs" / "api.md", ROOT / "README.md"
_WRONG = {"000", "400", "401", "403", "404", "409", "422", "429"}
_PRELUDE = r"""set -euo pipefail
curl() { command curl --max-time 120 -w '%{stderr}status=%{http_code}\n' "$@"; }
"""


def script(page: Path, api_url: str, folder: Path) -> str:
    """The page's shell examples as one script against the API at this address."""
    examples = "\n".join(re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL))
    assert "API=http://127.0.0.1:8000\n" in examples
    examples = examples.replace("API=http://127.0.0.1:8000\n", f"API={api_url}\n").replace("/tmp/", f"{folder}/")
    return _PRELUDE + examples.replace(".venv/bin/seatwright", f"{sys.executable} -m cli")


def run(command: list[str], stack_env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a command prints in the stack's environment."""
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | stack_env, capture_output=True, text=True, check=False, timeout=500
    )


def test_the_booking_on_the_integrators_page_is_one_of_the_demo() -> None:
    (example,) = re.findall(r'^```\n(\{"id".+?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    shown = BookingDetails.model_validate_json(example)
    assert shown.model_dump(mode="json") == json.loads(example), "a member is missing, wrong or too many"
    name, _, venue, city, country, *_, currency, price = CATALOGUE[0]
    event = shown.event
    assert (event.name, event.venue, event.city, event.country) == (name, venue, city, country)
    assert (shown.currency, shown.amount) == (currency, sum(place.quantity * place.price for place in shown.places))
    assert {place.section: place.price for place in shown.places} == {"B": price, "Standing": price // 2}


def test_the_readme_shows_what_a_first_demo_prints() -> None:
    name, _, _, city, *_, currency, price = CATALOGUE[0]
    paid = format_money(2 * 2 * price + price // 2, currency)
    shown = [line.split(maxsplit=1) for line in README.read_text().splitlines() if line]
    for line in (
        f"catalogue  create and publish {len(CATALOGUE)} events",
        f"booking    {name}: A-1-1, A-1-2 and one standing place",
        f"confirmed  {paid}, 3 tickets",
        f"search     {name}, {city}",
        f"analytics  1 booking, 3 tickets, {paid} for this event",
    ):
        assert line.split(maxsplit=1) in shown, line


@pytest.fixture(scope="module")
def demo(stack_env: dict[str, str]) -> None:
    """The events that the pages speak of."""
    made = run([sys.executable, "-m", "cli", "demo"], stack_env)
    assert made.returncode == 0, made.stdout + made.stderr


@pytest.mark.usefixtures("demo")
@pytest.mark.parametrize(("page", "declined"), [(README, 0), (PAGE, 1)], ids=["README", "api"])
def test_every_shell_example_for_integrators_works(
    page: Path, declined: int, stack_env: dict[str, str], api_url: str, tmp_path: Path
) -> None:
    shown = run(["bash", "-c", script(page, api_url, tmp_path)], stack_env)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    statuses = re.findall(r"status=(\d+)", shown.stderr)
    assert statuses
    assert not _WRONG & set(statuses), (statuses, shown.stdout)
    assert statuses.count("402") == declined, "one example of docs/api.md shows a declined card"
    assert not [status for status in statuses if status.startswith("5")]
