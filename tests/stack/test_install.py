"""What stacks share is installed once, however many begin at the same time, and is whole or absent."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from stack.install_context import InstallContext
from stack.paths import Paths
from stack.servers import install

STACKS = 6
CONTENT = "the whole server\n"
# Python 3.12 warns of a fork beside threads; these children only install.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
_forking = multiprocessing.get_context("fork")  # a start of an interpreter each would spread their beginnings


def context(home: Path, stack: str) -> InstallContext:
    return InstallContext("server", Paths(stack, home, home / "tools"), {}, {}, "")


def builds(home: Path) -> int:
    """How often a build has begun."""
    return len(list(home.glob("built-by-*")))


def build(home: Path, target: Path, seconds: float) -> None:
    (home / f"built-by-{os.getpid()}").touch()
    (target / "server").write_text(CONTENT[:5])
    time.sleep(seconds)
    (target / "server").write_text(CONTENT)


def install_and_use(home: Path, number: int, together: Barrier, seconds: float) -> None:
    together.wait()
    folder = install.once(context(home, f"stack-{number}"), "server", lambda target: build(home, target, seconds))
    assert (folder / "server").read_text() == CONTENT


def installing(home: Path, stacks: int, seconds: float = 0.3) -> list[multiprocessing.context.ForkProcess]:
    together = _forking.Barrier(stacks)
    processes = [
        _forking.Process(target=install_and_use, args=(home, number, together, seconds)) for number in range(stacks)
    ]
    for process in processes:
        process.start()
    return processes


def test_stacks_that_begin_at_once_install_once_and_all_find_it_whole(tmp_path: Path) -> None:
    processes = installing(tmp_path, STACKS)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * STACKS
    assert builds(tmp_path) == 1


def test_an_installation_that_is_killed_leaves_nothing_that_the_next_takes_for_whole(tmp_path: Path) -> None:
    [killed] = installing(tmp_path, 1, seconds=60)
    while not builds(tmp_path):
        time.sleep(0.01)
    assert killed.pid
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    folder = install.once(context(tmp_path, "next"), "server", lambda target: build(tmp_path, target, 0))
    assert (folder / "server").read_text() == CONTENT
