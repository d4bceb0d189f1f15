"""A tiny stack with a name, a folder and ports of its own, gone at the end."""

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from stack import Stack

PORTS_OF_A_WORKER = 1000


@pytest.fixture(autouse=True)
def ports_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stacks avoid the ports that their neighbours at home have chosen and not yet taken; these here live elsewhere."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    first = 10_000 + int(worker) % 5 * PORTS_OF_A_WORKER
    monkeypatch.setattr("stack.ports.FREE_RANGE", (first, first + PORTS_OF_A_WORKER))


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Nothing of it runs yet; whatever the test starts is stopped."""
    tiny = Stack("tiny", ports="free", home=tmp_path, console=Console(file=StringIO()))
    yield tiny
    tiny.clean()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A tiny stack that a module's tests share: to make the files of Postgres anew takes longer than most of them.

    Each starts what it needs, whatever the test before has left running.
    """
    tiny = Stack("tiny", ports="free", home=tmp_path_factory.mktemp("lasting"), console=Console(file=StringIO()))
    yield tiny
    tiny.clean()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Stacks that a test made by itself are stopped too, also when it failed."""
    yield
    for state in tmp_path.glob("*/state.json"):
        Stack(state.parent.name, home=tmp_path, console=Console(file=StringIO())).clean()
