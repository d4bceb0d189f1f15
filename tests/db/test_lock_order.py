"""Who goes on with what a person has, and who ends it all, lock in one order: they never wait in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from db.identity import accounts, clients, consents, erasure, grants, mail_tokens, rights, sessions, teams
from db.identity.mail_tokens import Purpose
from db.identity.vault import Vault
from domain.identity import Profile, Role, Scope, TeamRole
from tests.waiting import eventually
from tests.workers.conftest import ServiceDatabase

VAULT = Vault(["master"], "index")


class Belongings(NamedTuple):
    """What a person has that can go on."""

    user_id: UUID
    client_id: UUID
    refresh_token: str
    granted_token: str
    decision: str
    team_id: UUID


@pytest.fixture(scope="module")
def identity_url(shared_database: ServiceDatabase) -> str:
    """One database for all tests here: they look at their own person only."""
    return shared_database("identity")


@pytest.fixture
async def belongings(identity: AsyncEngine) -> Belongings:
    async with identity.begin() as connection:
        owner, person = await registered(connection, "owner"), await registered(connection, "person")
        session = await sessions.begin(connection, person, b"")
        client_id, _ = await clients.add(
            connection,
            "Seat Finder",
            redirect_uris=[],
            grants={"refresh_token"},
            scopes={Scope.OPENID},
            roles=(),
            is_public=False,
            may_introspect=False,
        )
        for code in ("unused", "used"):
            await connection.run_sync(
                grants.add_code,
                f"{code} {person}",
                client_id=client_id,
                user_id=person,
                redirect_uri="",
                scopes={Scope.OPENID},
                challenge="",
                nonce=None,
            )
        used = await connection.run_sync(grants.find_code, f"used {person}", client_id)
        assert used
        family = await connection.run_sync(grants.begin, used)
        granted = await connection.run_sync(grants.first_token, family.id)
        decision = await consents.wait(connection, person, client_id)
        team = await teams.add(connection, uuid4(), "Globe", owner)
        await teams.put(connection, team, person, TeamRole.STAFF)
        assert await teams.accept(connection, person, team.id)
    return Belongings(person, client_id, session.refresh_token, granted, decision, team.id)


async def registered(connection: AsyncConnection, name: str) -> UUID:
    profile = Profile(email=f"{name}-{uuid4()}@example.test", name=name)
    account = await accounts.register(connection, VAULT, profile, password_hash="x", roles={Role.CUSTOMER})
    assert account
    return account.id


GoOn = Callable[[AsyncConnection, Belongings], Awaitable[object]]
End = Callable[[AsyncConnection, UUID], Awaitable[None]]


async def refresh(connection: AsyncConnection, of: Belongings) -> object:
    rotation = await sessions.rotate(connection, VAULT, of.refresh_token, "")
    return rotation and await rights.find(connection, of.user_id)


async def refresh_for_a_client(connection: AsyncConnection, of: Belongings) -> object:
    family = await connection.run_sync(grants.hold, of.granted_token, of.client_id)
    return family and await rights.find(connection, of.user_id)


async def exchange(connection: AsyncConnection, of: Belongings) -> object:
    code = await connection.run_sync(grants.find_code, f"unused {of.user_id}", of.client_id)
    return code and await connection.run_sync(grants.begin, code)


async def decide(connection: AsyncConnection, of: Belongings) -> object:
    user_id = await consents.waiting(connection, of.decision)
    assert user_id
    account = await accounts.locked(connection, VAULT, user_id)
    return account and await consents.decide(connection, of.decision, of.client_id)


async def leave_the_team(connection: AsyncConnection, of: Belongings) -> object:
    team = await teams.hold(connection, of.team_id)
    assert team
    await teams.remove(connection, team, of.user_id)
    return None


PAIRS: list[tuple[GoOn, End]] = [
    (refresh, sessions.end_all),
    (refresh_for_a_client, erasure.erase),
    (exchange, sessions.end_all),
    (decide, erasure.erase),
    (leave_the_team, sessions.end_all),
]
"""Each that goes on, and the way in which all ends beside it in `make test`; `make prove` has the other one, too."""
OTHER_END: dict[End, End] = {sessions.end_all: erasure.erase, erasure.erase: sessions.end_all}


@pytest.mark.parametrize(
    ("go_on", "end"),
    [*PAIRS, *(pytest.param(go_on, OTHER_END[end], marks=pytest.mark.thorough) for go_on, end in PAIRS)],
)
async def test_what_goes_on_waits_for_who_ends_it_and_then_finds_it_ended(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, belongings: Belongings, go_on: GoOn, end: End
) -> None:
    async def beside() -> object:
        async with identity.begin() as connection:
            return await go_on(connection, belongings)

    async with identity.begin() as connection:
        assert await accounts.locked(connection, VAULT, belongings.user_id)
        going_on = asyncio.create_task(beside())
        await eventually(lambda: a_session_waits(identity_by_hand))
        await end(connection, belongings.user_id)
    assert await going_on is None


async def test_a_mailed_token_waits_for_the_erasure_of_its_person_and_finds_none(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, belongings: Belongings
) -> None:
    async with identity.begin() as connection:
        assert await mail_tokens.send(connection, VAULT, belongings.user_id, Purpose.PASSWORD_RESET)
    of_person = "SELECT id FROM mail_tokens WHERE user_id = %s"
    [(token_id,)] = identity_by_hand.execute(of_person, [belongings.user_id]).fetchall()

    async def beside() -> object:
        async with identity.begin() as connection:
            return await mail_tokens.use(connection, VAULT.mail_token(token_id), Purpose.PASSWORD_RESET)

    async with identity.begin() as connection:
        assert await accounts.locked(connection, VAULT, belongings.user_id)
        resetting = asyncio.create_task(beside())
        await eventually(lambda: a_session_waits(identity_by_hand))
        await erasure.erase(connection, belongings.user_id)
    assert await resetting is None


async def test_no_token_is_issued_beside_the_end_of_its_client(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, belongings: Belongings
) -> None:
    async def beside() -> object:
        async with identity.begin() as connection:
            return await connection.run_sync(clients.find, belongings.client_id)

    async with identity.begin() as connection:
        assert await clients.end(connection, belongings.client_id)
        asking = asyncio.create_task(beside())
        await eventually(lambda: a_session_waits(identity_by_hand))
    assert await asking is None


async def test_what_a_person_allows_beside_the_end_of_its_client_is_deleted(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, belongings: Belongings
) -> None:
    async def beside() -> bool:
        async with identity.begin() as connection:
            return await clients.end(connection, belongings.client_id)

    async with identity.begin() as connection:
        assert await connection.run_sync(clients.find, belongings.client_id)
        assert await accounts.locked(connection, VAULT, belongings.user_id)
        ending = asyncio.create_task(beside())
        await eventually(lambda: a_session_waits(identity_by_hand))
        await consents.give(connection, belongings.user_id, belongings.client_id, {Scope.OPENID})
    assert await ending
    given = "SELECT FROM consents WHERE user_id = %s"
    assert identity_by_hand.execute(given, [belongings.user_id]).fetchall() == []


def a_session_waits(identity_by_hand: psycopg.Connection) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(identity_by_hand.execute(query).fetchall())
