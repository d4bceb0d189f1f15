"""Readiness costs our servers one check a second, however many callers ask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from api.operations.readiness import Readiness


class Server:
    """Counts its checks."""

    def __init__(self) -> None:
        self.checks = 0
        self.fails = False

    async def check(self) -> Mapping[str, str]:
        self.checks += 1
        await asyncio.sleep(0.01)
        if self.fails:
            raise ConnectionError
        return {"number": str(self.checks)}


async def test_callers_at_once_and_within_a_second_share_one_check() -> None:
    server, readiness = Server(), Readiness()
    answers = await asyncio.gather(*(readiness.results(server.check) for _ in range(100)))
    answers.append(await readiness.results(server.check))
    assert server.checks == 1
    assert all(answer == {"number": "1"} for answer in answers)


async def test_a_second_later_the_servers_are_checked_again() -> None:
    server, readiness = Server(), Readiness()
    await readiness.results(server.check)
    await asyncio.sleep(1.01)
    assert await readiness.results(server.check) == {"number": "2"}


async def test_a_check_that_fails_is_not_kept() -> None:
    server, readiness = Server(), Readiness()
    server.fails = True
    with pytest.raises(ConnectionError):
        await readiness.results(server.check)
    server.fails = False
    assert await readiness.results(server.check) == {"number": "2"}


async def test_a_caller_who_leaves_does_not_end_the_check_of_others() -> None:
    server, readiness = Server(), Readiness()
    first = asyncio.ensure_future(readiness.results(server.check))
    second = asyncio.ensure_future(readiness.results(server.check))
    await asyncio.sleep(0)
    first.cancel()
    assert await second == {"number": "1"}
