"""Whatever is sent, alone or as one call follows from another: no 5xx, and each answer as `/openapi.json` says."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from tests.api.conftest import Join
from tests.box_office import BoxOffice

FULL = os.environ.get("SEATWRIGHT_SCALE") == "full"
CASES, PER_CALL, SECONDS = (10_000, 150, 1500) if FULL else (1_000, 8, 240)
pytestmark = [pytest.mark.disruptive] if FULL else []  # at full size it leaves the API no time for tests beside it
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance", "ignored_auth",
)  # fmt: skip


async def test_every_call_is_answered_as_the_schema_says(
    api_url: str, join: Join, box_office: BoxOffice, tmp_path: Path
) -> None:
    everybody = await join("organizer", "support", "operator")  # so that no call ends at its door
    event = await box_office.event(rows=100, seats_per_row=50, hold_seconds=5)
    report, seed = tmp_path / "report.json", os.environ.get("SEATWRIGHT_SEED", "1")
    command = [
        f"{Path(sys.executable).parent}/schemathesis", "run", f"{api_url}/openapi.json",
        "--header", f"Authorization: Bearer {everybody.access_token}",
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
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=env, timeout=SECONDS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-8000:]
    assert orjson.loads(await asyncio.to_thread(report.read_bytes))["test_cases"]["generated"] >= CASES
