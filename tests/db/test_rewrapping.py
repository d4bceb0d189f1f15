"""When the master key is replaced, people's keys are wrapped anew, and who is erased stays erased."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.engine import open_engine
from db.identity import accounts, erasure, rewrapping
from db.identity.vault import Vault
from domain.identity import Profile, Role
from stack import Stack
from tests.api.test_command_line import seatwright
from tests.workers.conftest import ServiceDatabase

OLD, BOTH, NEW = (Vault(masters, "index") for masters in (["old"], ["new", "old"], ["new"]))


@pytest.fixture
async def identity(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    engine = open_engine(service_database("identity"), serves_callers=False)
    yield engine
    await engine.dispose()


async def registered(connection: AsyncConnection, name: str) -> UUID:
    profile = Profile(email=f"{name}@example.test", name=name)
    account = await accounts.register(connection, OLD, profile, password_hash="x", roles={Role.CUSTOMER})
    assert account
    return account.id


async def rewrapped(engine: AsyncEngine) -> int:
    async with engine.begin() as connection:
        done = await rewrapping.rewrap(connection, BOTH, rewrapping.FIRST)
    assert done.after is None
    return done.wrapped


async def test_the_old_master_key_is_not_needed_any_more(identity: AsyncEngine) -> None:
    async with identity.begin() as connection:
        ann, bob = await registered(connection, "ann"), await registered(connection, "bob")
        await erasure.erase(connection, bob)
    async with identity.connect() as connection:
        with pytest.raises(KeyError):
            await accounts.find(connection, NEW, ann)
    assert await rewrapped(identity) == 1
    assert await rewrapped(identity) == 0
    async with identity.connect() as connection:
        account = await accounts.find(connection, NEW, ann)
        assert account
        assert account.profile.name == "ann"
        assert await accounts.key_of(connection, NEW, bob) is None


async def test_who_is_erased_beside_it_is_erased(identity: AsyncEngine) -> None:
    async with identity.begin() as connection:
        people = [await registered(connection, f"person-{number}") for number in range(12)]

    async def erase(person: UUID) -> None:
        async with identity.begin() as connection:
            await accounts.locked(connection, BOTH, person)
            await erasure.erase(connection, person)

    await asyncio.gather(rewrapped(identity), *map(erase, people), rewrapped(identity))
    async with identity.connect() as connection:
        assert [await accounts.key_of(connection, NEW, person) for person in people] == [None] * 12


async def test_the_command_says_how_many_and_names_a_master_key_that_is_missing(stack: Stack) -> None:
    done = await asyncio.to_thread(seatwright, stack, "people", "rewrap")
    assert (done.returncode, done.stdout) == (0, "0 keys rewrapped\n"), done.stderr
    lost = await asyncio.to_thread(seatwright, stack, "people", "rewrap", SEATWRIGHT_PERSONAL_DATA_KEYS="another")
    assert lost.returncode == 1
    assert "SEATWRIGHT_PERSONAL_DATA_KEYS" in lost.stderr
