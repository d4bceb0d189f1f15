"""When the master key is replaced, people's keys are wrapped anew, and who is erased stays erased.

Accounts of an older version get the hash of their name as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cli.people import people_app
from db.engine import open_engine
from db.identity import accounts, erasure, rewrapping
from db.identity.vault import Vault
from domain.identity import Profile, Role
from stack import Stack
from tests.api.test_command_line import seatwright
from tests.command_line import seatwright as seatwright_here
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


async def hashed(engine: AsyncEngine) -> int:
    changed = 0
    after: UUID | None = accounts.FIRST
    while after is not None:
        async with engine.begin() as connection:
            done = await accounts.hash_names(connection, OLD, after, page=2)
        changed, after = changed + done.changed, done.after
    return changed


async def test_accounts_of_an_older_version_are_found_by_name_once_their_names_are_hashed(
    identity: AsyncEngine,
) -> None:
    async with identity.begin() as connection:
        people = {name: await registered(connection, name) for name in ("old", "older", "renamed", "erased", "new")}
        for name, stored in (("old", "NULL"), ("older", "NULL"), ("renamed", "sha256('her earlier name')")):
            await connection.execute(
                text(f"UPDATE users SET name_hash = {stored} WHERE id = :id"), {"id": people[name]}
            )
        await erasure.erase(connection, people["erased"])
        assert await accounts.find_by_name(connection, OLD, "older") == []
    assert await hashed(identity) == 3
    assert await hashed(identity) == 0
    async with identity.connect() as connection:
        for name in ("old", "older", "renamed", "new"):
            assert [each.id for each in await accounts.find_by_name(connection, OLD, name)] == [people[name]]
        assert await accounts.find_by_name(connection, OLD, "erased") == []


async def test_a_name_that_changes_while_names_are_hashed_keeps_its_own_hash(identity: AsyncEngine) -> None:
    async with identity.begin() as connection:
        person = await registered(connection, "before")
        await connection.execute(text("UPDATE users SET name_hash = NULL"))
    async with identity.begin() as connection:
        account = await accounts.locked(connection, OLD, person)
        assert account
        hashing = asyncio.create_task(hashed(identity))
        await asyncio.sleep(0.5)
        await accounts.change_profile(connection, OLD, account, name="after")
    assert await hashing == 0
    async with identity.connect() as connection:
        assert [each.id for each in await accounts.find_by_name(connection, OLD, "after")] == [person]


async def test_the_name_that_an_older_version_left_of_an_erased_person_finds_no_account(
    identity: AsyncEngine,
) -> None:
    async with identity.begin() as connection:
        erased, namesake = await registered(connection, "ann"), await registered(connection, "bob")
        hashes = "SELECT name_hash FROM users WHERE id = :id"
        kept = await connection.scalar(text(hashes), {"id": erased})
        await erasure.erase(connection, erased)
        as_before = "UPDATE users SET name_hash = :hash WHERE id IN (:erased, :namesake)"
        await connection.execute(text(as_before), {"hash": kept, "erased": erased, "namesake": namesake})
        assert [each.id for each in await accounts.find_by_name(connection, OLD, "ann")] == [namesake]
    assert await hashed(identity) == 2, "the namesake gets the hash of their own name"
    async with identity.connect() as connection:
        assert await connection.scalar(text(hashes), {"id": erased}) is None
        assert [each.id for each in await accounts.find_by_name(connection, OLD, "bob")] == [namesake]


async def test_hashes_of_erased_people_are_sought_once_with_the_last_page(identity: AsyncEngine) -> None:
    async with identity.begin() as connection:
        erased = await registered(connection, "erased")
        await erasure.erase(connection, erased)
        await connection.execute(text("UPDATE users SET name_hash = sha256('x') WHERE id = :id"), {"id": erased})
        for name in ("ann", "bob"):
            await registered(connection, name)
    pages = []
    after: UUID | None = accounts.FIRST
    while after is not None:
        async with identity.begin() as connection:
            done = await accounts.hash_names(connection, OLD, after, page=1)
        pages.append(done.changed)
        after = done.after
    assert pages == [0, 0, 1]


async def test_the_command_that_hashes_names_changes_nothing_the_second_time(
    stack: Stack, stack_env: dict[str, str]
) -> None:
    done = await asyncio.to_thread(seatwright, stack, "people", "hash-names")
    assert done.returncode == 0, done.stderr
    assert await seatwright_here(people_app, stack_env, "hash-names") == "0 names hashed\n"
    with pytest.raises(AssertionError, match="SEATWRIGHT_PERSONAL_DATA_KEYS"):
        await seatwright_here(people_app, stack_env | {"SEATWRIGHT_PERSONAL_DATA_KEYS": "another"}, "hash-names")
