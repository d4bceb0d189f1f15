"""The running stack that all tests share, and the client through which they publish events and buy tickets."""

# ruff: noqa: E402
from __future__ import annotations

import gc

gc.set_threshold(50_000)  # collections would take a sixth of the time that collecting the tests takes

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import hypothesis
import pytest
import structlog

from audit.run import audit
from config import memory
from config.settings import Settings
from stack import Stack
from tests.engines import Engines
from tests.lanes import in_turn
from tests.network import Network
from tests.platform_client import PlatformClient
from tests.scale import FULL, SEED

TEST_SETTINGS = {
    "SEATWRIGHT_COMPENSATION_ATTEMPTS": "4",  # so that a saga asks for an operator within seconds
    "SEATWRIGHT_PAYMENT_WINDOW": "20",
    "SEATWRIGHT_PAYMENT_TIMEOUT": "2",
    "SEATWRIGHT_IYZICO_QUIET_SECONDS": "6",  # longer than any test lets a refund run there
}

# structlog's default draws every exception with all local variables, which takes seconds.
structlog.configure(processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])

# On a busy machine an example, or drawing it, may well take longer than usual once, which tells nothing of either.
hypothesis.settings.register_profile("busy", deadline=None)
hypothesis.settings.load_profile("busy")


def settings_of(stack_env: dict[str, str]) -> Settings:
    """The settings that a process with these variables has."""
    return Settings.from_variables(stack_env)


@pytest.fixture(scope="session")
def stack() -> Stack:
    """The stack that `make test` has started; run by hand, pytest starts it and leaves it up for the next run."""
    running = Stack(os.environ.get("SEATWRIGHT_STACK", "test"), ports="free")
    running.up(settings=TEST_SETTINGS)
    return running


@pytest.fixture(scope="session")
def stack_env(stack: Stack) -> dict[str, str]:
    """The stack's SEATWRIGHT_ variables."""
    return stack.env


@pytest.fixture(scope="session")
def settings(stack_env: dict[str, str]) -> Settings:
    """The settings with which the stack's processes run."""
    return settings_of(stack_env)


@pytest.fixture(scope="session")
def api_url(settings: Settings) -> str:
    """The API's address."""
    return settings.api_url


@pytest.fixture(scope="module")
def published(settings: Settings) -> Iterator[dict[UUID, str]]:
    """The events that the module's tests publish, with the names of the tests; all of them are audited at the end.

    An audit after each test would take much of the suite's time.
    """
    events: dict[UUID, str] = {}
    yield events
    findings = asyncio.run(audit(settings, events.keys()))
    assert not findings, "\n".join(map(str, [*findings, *events.items()]))


@pytest.fixture(scope="session")
async def engines(settings: Settings) -> AsyncIterator[Engines]:
    """The databases of the stack; its connections stay open from test to test."""
    opened = Engines(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def platform(
    settings: Settings, engines: Engines, published: dict[UUID, str], request: pytest.FixtureRequest
) -> AsyncIterator[PlatformClient]:
    """A client of the whole platform; what it publishes is audited at the end of the module."""
    async with PlatformClient(settings, engines) as platform:
        yield platform
        published |= {UUID(event): request.node.nodeid for event in platform.events}


@pytest.fixture
async def network(stack: Stack) -> AsyncIterator[Network]:
    """A way to make the network bad for processes that a test spawns; its lines are gone when the test ends."""
    await asyncio.to_thread(stack.up, "toxiproxy")
    async with Network(stack) as made:
        yield made


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what is thorough to `make prove`."""
    if not FULL:
        thorough = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=thorough)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: in_turn(item.nodeid.partition("::")[0], SEED))


def pytest_collection_finish() -> None:
    """What is imported by now stays, and is no garbage."""
    memory.configure()


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Exit with pytest's own exit code; `cli.entrypoint` says how threads of the Temporal SDK would change it."""
    status = getattr(config, "seatwright_exit_status", None)
    if status is not None and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(status))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Remember the exit code for `pytest_unconfigure`."""
    session.config.seatwright_exit_status = exitstatus  # type: ignore[attr-defined]
