"""A sandbox as a real process, and a merchant that uses it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.testing import SandboxProcess
from tests.sandbox.shop import Shop


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def own_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    """A sandbox that the test may kill."""
    process = SandboxProcess(tmp_path_factory.mktemp("own-sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
def shop(sandbox: SandboxProcess) -> Shop:
    return Shop(sandbox)
