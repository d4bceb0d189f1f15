"""The `seatwright` command finds the stack of this machine, and says in one line what it cannot do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from uuid import uuid4

import pytest

from stack import Stack
from tests.platform_client import PlatformClient
from tests.scale import sample


def seatwright(stack: Stack, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("SEATWRIGHT_")}
    return subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        env=plain | {"SEATWRIGHT_STACK": stack.paths.name} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_variables_that_name_no_mode_do_not_keep_the_command_from_its_stack(stack: Stack) -> None:
    done = seatwright(stack, "audit", "--event", str(uuid4()), SEATWRIGHT_STRIPE_API_KEY="sk_own", SEATWRIGHT_SCALE="1")
    assert done.returncode == 0, done.stderr


def test_what_is_set_by_hand_wins_over_the_stack(stack: Stack) -> None:
    done = seatwright(stack, "audit", SEATWRIGHT_POSTGRES_PORT="1")
    assert done.returncode != 0
    assert "port 1" in done.stderr


@pytest.mark.parametrize("verb", sample(["serve", "work", "relay", "consume"], 1, of="commands that serve"))
def test_an_unknown_service_is_named_in_one_line(stack: Stack, verb: str) -> None:
    done = seatwright(stack, verb, "--only", "search,nonsense")
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_unknown_booking_cannot_be_operated_on(stack: Stack) -> None:
    assert_refused(seatwright(stack, "booking", "operate", str(uuid4()), "retry"))


async def test_a_booking_that_has_ended_cannot_be_operated_on(platform: PlatformClient, stack: Stack) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await platform.saga(booking).result()
    assert_refused(await asyncio.to_thread(seatwright, stack, "booking", "operate", booking, "retry"))


def assert_refused(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_a_command_starts_without_the_libraries_that_it_does_not_use() -> None:
    said = subprocess.check_output([sys.executable, "-c", "import cli, sys; print(*sys.modules)"], text=True)
    slow = {"aiohttp", "elasticsearch", "fastapi", "psycopg", "redis", "sqlalchemy", "temporalio"}
    assert slow.isdisjoint(said.split())
