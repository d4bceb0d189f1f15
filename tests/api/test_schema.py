"""Whatever is sent, alone or as one call follows from another: no 5xx, and each answer as `/openapi.json` says."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import httpx2
import orjson
import pytest

from tests.api.conftest import Join
from tests.api.people import Person, log_in
from tests.platform_client import PlatformClient
from tests.scale import FULL
from tests.waiting import in_time

# In rounds, since an access token lives for fifteen minutes.
CASES, ROUNDS, PER_CALL, SECONDS = (10_000, 3, 50, 800) if FULL else (300, 1, 3, 240)
PHASES = "examples,coverage,fuzzing,stateful" if FULL else "examples,fuzzing,stateful"
pytestmark = pytest.mark.disruptive  # it leaves the API no time for tests beside it
CHECKS = (
    "no_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip


# Who calls these with success is logged out, and everything after them would end at the door.
LOG_OUT = ("log_out_everywhere", "log_out_of_session", "set_user_roles")


async def test_every_call_is_answered_as_the_schema_says(
    api_url: str, join: Join, platform: PlatformClient, client: httpx2.AsyncClient, tmp_path: Path
) -> None:
    everybody = await join("organizer", "support", "operator")  # so that no call ends at its door
    event = await platform.event(rows=100, seats_per_row=50, hold_seconds=5)
    but_these = [f"--phases={PHASES}", *(f"--exclude-operation-id={each}" for each in LOG_OUT)]
    only_these = ["--phases=examples,coverage,fuzzing", *(f"--include-operation-id={each}" for each in LOG_OUT)]
    cases = 0
    for number in range(ROUNDS):
        person = await log_in(client, everybody.email, everybody.password)
        cases += await _calls(api_url, person, event, tmp_path, number, *but_these)
        assert (await client.get("/v1/me", headers=person.headers)).status_code == 200  # still
    cases += await _calls(api_url, person, event, tmp_path, ROUNDS, *only_these)
    assert cases >= CASES


async def _calls(api_url: str, person: Person, event: str, folder: Path, number: int, *which: str) -> int:
    """Make up calls; how many there were."""
    report, seed = folder / "report.json", str(int(os.environ.get("SEATWRIGHT_SEED", "1")) + number)
    command = [
        f"{Path(sys.executable).parent}/schemathesis", "run", f"{api_url}/openapi.json", *which,
        "--header", f"Authorization: Bearer {person.access_token}",
        "--checks", ",".join(CHECKS),
        "--exclude-path", "/v1/bookings/{booking_id}/stream",  # it lasts as long as its booking
        "--max-examples", str(PER_CALL), "--seed", seed, "--request-timeout", "60",
        "--suppress-health-check", "all", "--continue-on-failure", "--no-color", "--warnings", "off",
        "--report", "json", "--report-json-path", str(report),
    ]  # fmt: skip
    env = os.environ | {
        "SCHEMATHESIS_HOOKS": "tests.api.schemathesis_hooks",
        "SCHEMATHESIS_EVENT": event,
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    making = await asyncio.create_subprocess_exec(*command, cwd=folder, env=env, stdout=PIPE, stderr=STDOUT)
    try:
        said, _ = await in_time(making.communicate(), within=SECONDS)
    finally:
        if making.returncode is None:
            making.kill()
            await making.wait()
    assert making.returncode == 0, said.decode(errors="replace")[-8000:]
    generated: int = orjson.loads(await asyncio.to_thread(report.read_bytes))["test_cases"]["generated"]
    return generated
