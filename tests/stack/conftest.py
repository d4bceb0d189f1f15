"""A tiny stack with a name, a folder and ports of its own, gone at the end."""

from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from stack import Stack


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """Nothing of it runs yet; whatever the test starts is stopped."""
    tiny = Stack("tiny", ports="free", home=tmp_path, console=Console(file=StringIO()))
    yield tiny
    tiny.clean()


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Stacks that a test made by itself are stopped too, also when it failed."""
    yield
    for state in tmp_path.glob("*/state.json"):
        Stack(state.parent.name, home=tmp_path, console=Console(file=StringIO())).clean()
