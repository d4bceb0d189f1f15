"""Who refreshes a token again and again keeps neither its person nor an operator from ending it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.identity import accounts, clients, sessions
from domain.identity import SigningAlgorithm
from tests.db.rush import rush
from tests.db.test_lock_order import VAULT, Belongings, belongings, refresh, refresh_for_a_client
from tests.waiting import in_time

__all__ = ["belongings"]

REFRESHES = 10
Refresh = Callable[[AsyncConnection, Belongings], Awaitable[object]]


@pytest.mark.parametrize("again", [refresh, refresh_for_a_client])
async def test_a_thief_who_refreshes_does_not_keep_the_owner_out(
    identity: AsyncEngine, identity_url: str, belongings: Belongings, again: Refresh
) -> None:
    steps = [lambda connection: again(connection, belongings)] * REFRESHES
    async with rush(identity_url, steps), identity.begin() as connection:
        assert await in_time(accounts.locked(connection, VAULT, belongings.user_id), within=4)
        await sessions.end_all(connection, belongings.user_id)
    async with identity.begin() as connection:
        assert await again(connection, belongings) is None


async def refresh_as_served(connection: AsyncConnection, of: Belongings) -> object:
    return await connection.run_sync(clients.find, of.client_id) and await refresh_for_a_client(connection, of)


async def test_an_application_that_refreshes_does_not_put_off_its_end(
    identity: AsyncEngine, identity_url: str, belongings: Belongings
) -> None:
    steps = [lambda connection: refresh_as_served(connection, belongings)] * REFRESHES
    async with rush(identity_url, steps):
        async with identity.begin() as connection:
            changing = clients.set_id_token_algorithm(connection, belongings.client_id, SigningAlgorithm.ED_DSA)
            assert await in_time(changing, within=4)
        async with identity.begin() as connection:
            assert await in_time(clients.end(connection, belongings.client_id), within=4)
    async with identity.begin() as connection:
        assert await connection.run_sync(clients.find, belongings.client_id) is None
