"""Integrators generate their client from `/openapi.json`: a program over one is checked in strict mypy, and run."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import orjson
import pytest

from api.app import create_app
from config.settings import Settings
from tests.platform_client import PlatformClient
from tests.waiting import in_time

PROGRAM = Path(__file__).parent / "client_program" / "program.py"
# Kept, since mypy first checks the libraries that a client uses.
CACHE = Path(__file__).parents[2] / ".mypy_cache" / "client_program"
PACKAGE = "seatwright_client"


async def run(*command: str, cwd: Path) -> str:
    """Run a command to its end; what it says."""
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdout=PIPE, stderr=STDOUT)
    said, _ = await in_time(process.communicate(), within=300)
    text = said.decode(errors="replace")
    assert process.returncode == 0, text
    return text


@pytest.fixture
async def workspace(tmp_path: Path) -> Path:
    """A folder with the generated client, and the program beside it."""
    document = tmp_path / "openapi.json"
    document.write_bytes(orjson.dumps(create_app(Settings(mode="development")).openapi()))
    settings = tmp_path / "generator.yaml"
    settings.write_text("post_hooks: []\n")  # no one reads the client, so nothing has to format it
    generator = (sys.executable, "-m", "openapi_python_client", "generate", "--config", str(settings))
    options = ("--path", str(document), "--output-path", str(tmp_path / PACKAGE), "--meta", "none")
    said = await run(*generator, *options, "--fail-on-warning", cwd=tmp_path)
    assert "Unable" not in said, said
    (tmp_path / PROGRAM.name).write_bytes(PROGRAM.read_bytes())
    return tmp_path


async def test_a_program_over_a_generated_client_is_typed_strictly_and_sells_seats(
    workspace: Path, platform: PlatformClient, api_url: str
) -> None:
    checked = [PROGRAM.name, f"{PACKAGE}/models", f"{PACKAGE}/api"]
    mypy = (sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--cache-dir", str(CACHE))
    await run(*mypy, *checked, cwd=workspace)
    event, buyer = await platform.event(), platform.new_buyer()
    token = buyer.headers["Authorization"].removeprefix("Bearer ")
    said = await run(sys.executable, PROGRAM.name, api_url, token, event, cwd=workspace)
    assert said == "done\n"
