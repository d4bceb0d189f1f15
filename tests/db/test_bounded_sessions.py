"""However often a person logs in, there are few sessions and grants, and their end is few revocations."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.auth import upkeep
from db.databases import migrate
from db.identity import accounts, clients, erasure, grants, pruning, sessions
from db.identity.vault import Vault
from domain.identity import Profile, Role, Scope
from tests.db.old_databases import migrate_to, plain
from tests.waiting import eventually
from tests.workers.conftest import _Databases

VAULT = Vault(["master"], "index")
MOST = 50

_SESSIONS = """
INSERT INTO sessions (user_id, created_at, last_used_at)
SELECT %s, now() - interval '1 day', now() - make_interval(mins => age) FROM generate_series(1, %s) AS age
"""
_FAMILIES = """
INSERT INTO refresh_families (user_id, client_id, scopes, created_at, last_used_at)
SELECT %s, %s, '{openid}', now() - interval '1 day', now() - make_interval(mins => age)
FROM generate_series(1, %s) AS age
"""
_OPEN_AGES = """
SELECT round(extract(epoch FROM now() - last_used_at) / 60)::int AS age FROM {table}
WHERE user_id = %s AND ended_at IS NULL ORDER BY age
"""


@pytest.fixture
async def person(identity: AsyncEngine) -> UUID:
    return await registered(identity)


@pytest.fixture
async def client_id(identity: AsyncEngine) -> UUID:
    return await application(identity)


async def registered(identity: AsyncEngine) -> UUID:
    profile = Profile(email=f"{uuid4()}@example.test", name="Test Person")
    async with identity.begin() as connection:
        account = await accounts.register(connection, VAULT, profile, password_hash="x", roles={Role.CUSTOMER})
    assert account
    return account.id


async def application(identity: AsyncEngine) -> UUID:
    async with identity.begin() as connection:
        made, _ = await clients.add(
            connection,
            "Seat Finder",
            redirect_uris=[],
            grants={"refresh_token"},
            scopes={Scope.OPENID},
            roles=(),
            is_public=False,
            may_introspect=False,
        )
    return made


async def log_in(connection: AsyncConnection, person: UUID) -> UUID:
    assert await accounts.locked(connection, VAULT, person)
    return (await sessions.begin(connection, person, b"")).session_id


async def add_code(connection: AsyncConnection, person: UUID, client_id: UUID) -> str:
    code = str(uuid4())
    given: dict[str, Any] = {"redirect_uri": "", "scopes": {Scope.OPENID}, "challenge": "", "nonce": None}
    await connection.run_sync(grants.add_code, code, client_id=client_id, user_id=person, **given)
    return code


async def exchange(connection: AsyncConnection, code: str, client_id: UUID) -> UUID:
    found = await connection.run_sync(grants.find_code, code, client_id)
    assert found
    family = await connection.run_sync(grants.begin, found)
    await connection.run_sync(grants.first_token, family.id)
    return family.id


def open_ages(identity_by_hand: psycopg.Connection, table: str, person: UUID) -> list[int]:
    """How many minutes ago each open session or grant was used; the newest first."""
    return [age for (age,) in identity_by_hand.execute(_OPEN_AGES.format(table=table), [person]).fetchall()]


def revoked(identity_by_hand: psycopg.Connection) -> set[UUID]:
    return {subject for (subject,) in identity_by_hand.execute("SELECT subject FROM revocations").fetchall()}


async def test_a_further_log_in_ends_the_sessions_that_were_used_longest_ago(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection
) -> None:
    for before in (0, 1, MOST - 1, MOST, MOST + 1, 3 * MOST):
        person, other = await registered(identity), await registered(identity)
        identity_by_hand.execute(_SESSIONS, [person, before])
        identity_by_hand.execute(_SESSIONS, [other, MOST])
        async with identity.begin() as connection:
            await log_in(connection, person)
            listed = await sessions.live(connection, person)
        left = [0, *range(1, min(before, MOST - 1) + 1)]
        assert open_ages(identity_by_hand, "sessions", person) == left, before
        assert open_ages(identity_by_hand, "sessions", other) == [*range(1, MOST + 1)], before
        assert len(listed) == min(before + 1, MOST), before


async def test_a_further_grant_to_a_client_ends_those_of_it_that_were_used_longest_ago(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection
) -> None:
    for before in (0, MOST - 1, MOST, 3 * MOST):
        client_id, other_client = await application(identity), await application(identity)
        person, other_person = await registered(identity), await registered(identity)
        identity_by_hand.execute(_FAMILIES, [person, client_id, before])
        identity_by_hand.execute(_FAMILIES, [other_person, client_id, MOST])
        async with identity.begin() as connection:
            await exchange(connection, await add_code(connection, person, client_id), client_id)
        left = [0, *range(1, min(before, MOST - 1) + 1)]
        assert open_ages(identity_by_hand, "refresh_families", person) == left, before
        async with identity.begin() as connection:
            await exchange(connection, await add_code(connection, person, other_client), other_client)
        assert len(open_ages(identity_by_hand, "refresh_families", person)) == min(before + 1, MOST) + 1, before
        assert len(open_ages(identity_by_hand, "refresh_families", other_person)) == MOST, before


Begin = Callable[[AsyncConnection], Awaitable[object]]


@pytest.mark.parametrize("table", ["sessions", "refresh_families"])
async def test_of_two_that_begin_at_once_the_second_makes_room_beside_the_first(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID, table: str
) -> None:
    identity_by_hand.execute(_SESSIONS, [person, MOST])
    identity_by_hand.execute(_FAMILIES, [person, client_id, MOST])
    async with identity.begin() as connection:
        codes = [await add_code(connection, person, client_id) for _ in range(2)]

    async def begin(connection: AsyncConnection) -> None:
        await (log_in(connection, person) if table == "sessions" else exchange(connection, codes.pop(), client_id))

    async def beside() -> None:
        async with identity.begin() as connection:
            await begin(connection)

    async with identity.begin() as connection:
        await begin(connection)
        second = asyncio.create_task(beside())
        await eventually(lambda: a_transaction_waits(identity_by_hand))
    await second
    assert open_ages(identity_by_hand, table, person) == [0, 0, *range(1, MOST - 1)]


@pytest.mark.parametrize("end", [sessions.end_all, erasure.erase])
async def test_the_end_of_all_that_a_person_has_is_one_revocation(
    identity: AsyncEngine,
    identity_by_hand: psycopg.Connection,
    person: UUID,
    client_id: UUID,
    end: Callable[[AsyncConnection, UUID], Awaitable[None]],
) -> None:
    identity_by_hand.execute(_SESSIONS, [person, 10 * MOST])
    identity_by_hand.execute(_FAMILIES, [person, client_id, 10 * MOST])
    async with identity.begin() as connection:
        assert await accounts.locked(connection, VAULT, person)
        await end(connection, person)
    assert (
        open_ages(identity_by_hand, "sessions", person) == open_ages(identity_by_hand, "refresh_families", person) == []
    )
    assert revoked(identity_by_hand) == {person}


async def test_what_ends_beside_all_of_another_person_or_later_has_its_own_revocation(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID
) -> None:
    other = await registered(identity)
    async with identity.begin() as connection:
        theirs = await log_in(connection, other)
        await sessions.end_all(connection, person)
        assert await sessions.end(connection, other, theirs)
    assert revoked(identity_by_hand) == {person, theirs}
    async with identity.connect() as connection:
        for _ in range(2):  # on the same connection to the database
            async with connection.begin():
                later = await log_in(connection, person)
            async with connection.begin():
                assert await sessions.end(connection, person, later)
            assert later in revoked(identity_by_hand)
            async with connection.begin():
                await sessions.end_all(connection, person)


_ENDS = ("UPDATE {table} SET ended_at = now()", "DELETE FROM {table}")
_AGES = {0: True, 14: True, 16: True, 21: False, 1000: False}
"""Whether what was used so many minutes ago is revoked when it ends."""


async def test_only_what_may_have_a_valid_access_token_is_revoked(
    identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID
) -> None:
    wrong = []
    for table, end, minutes in product(("sessions", "refresh_families"), _ENDS, _AGES):
        for used_before in ("sessions", "refresh_families", "revocations"):
            identity_by_hand.execute(f"DELETE FROM {used_before}")
        identity_by_hand.execute(_SESSIONS, [person, 1])
        identity_by_hand.execute(_FAMILIES, [person, client_id, 1])
        used = f"UPDATE {table} SET last_used_at = now() - make_interval(mins => %s) RETURNING id"
        [(id_,)] = identity_by_hand.execute(used, [minutes]).fetchall()
        identity_by_hand.execute(end.format(table=table))
        if revoked(identity_by_hand) != ({id_} if _AGES[minutes] else set()):
            wrong.append(f"{end.format(table=table)} after {minutes} minutes")
    assert not wrong, "\n".join(wrong)


async def test_a_new_refresh_token_is_a_use_of_its_grant_whatever_version_adds_it(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID
) -> None:
    identity_by_hand.execute(_FAMILIES, [person, client_id, 2])
    [(family,)] = identity_by_hand.execute("SELECT id FROM refresh_families ORDER BY last_used_at LIMIT 1").fetchall()
    of_0_1_0 = (
        "INSERT INTO family_tokens (hash, family, expires_at) VALUES (sha256('x'), %s, now() + interval '30 days')"
    )
    identity_by_hand.execute(of_0_1_0, [family])
    assert open_ages(identity_by_hand, "refresh_families", person) == [0, 1]


async def test_lists_of_sessions_and_grants_have_an_end(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID
) -> None:
    identity_by_hand.execute(_SESSIONS, [person, 3 * MOST])
    identity_by_hand.execute(_FAMILIES, [person, client_id, 3 * grants.MOST_LISTED])
    identity_by_hand.execute("UPDATE refresh_families SET created_at = now()")
    async with identity.connect() as connection:
        assert len(await sessions.live(connection, person)) == MOST
        assert len(await grants.live(connection, person)) == grants.MOST_LISTED


async def test_what_ended_an_hour_ago_is_deleted_and_all_else_stays(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID
) -> None:
    tables_of = {"sessions": "refresh_tokens", "refresh_families": "family_tokens"}
    identity_by_hand.execute(_SESSIONS, [person, 3])
    identity_by_hand.execute(_FAMILIES, [person, client_id, 3])
    for families, tokens in tables_of.items():
        identity_by_hand.execute(
            f"INSERT INTO {tokens} SELECT sha256(id::text::bytea), id, now() + interval '1 day' FROM {families}"
        )
        for used, ended in ((2, 59), (3, 61)):
            newest = f"SELECT id FROM {families} ORDER BY created_at, id OFFSET {used - 1} LIMIT 1"
            ends = f"UPDATE {families} SET ended_at = now() - make_interval(mins => %s) WHERE id = ({newest})"
            identity_by_hand.execute(ends, [ended])
    identity_by_hand.execute("DELETE FROM revocations")
    async with identity.connect() as connection:
        for _ in range(2):
            await pruning.prune(connection)
        await connection.commit()
    for families, tokens in tables_of.items():
        left = identity_by_hand.execute(
            f"SELECT now() - ended_at < interval '1 hour' FROM {families} ORDER BY ended_at"
        ).fetchall()
        assert left == [(True,), (None,)], families
        assert identity_by_hand.execute(f"SELECT count(*) FROM {tokens}").fetchall() == [(2,)], tokens
    assert revoked(identity_by_hand) == set()


_TOKEN = """
INSERT INTO {tokens} (hash, family, expires_at, used_at)
SELECT sha256(%s), id, now() - make_interval(mins => %s), CASE WHEN %s THEN now() - interval '20 days' END
FROM {families} WHERE last_used_at {when} now() - interval '30 days'
"""


@pytest.mark.parametrize(
    ("families", "tokens"), [("sessions", "refresh_tokens"), ("refresh_families", "family_tokens")]
)
async def test_expired_tokens_are_deleted_and_what_was_not_used_for_30_days_ends(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID, client_id: UUID,
    families: str, tokens: str,
) -> None:  # fmt: skip
    identity_by_hand.execute(_SESSIONS, [person, 2])
    identity_by_hand.execute(_FAMILIES, [person, client_id, 2])
    newest = f"SELECT id FROM {families} ORDER BY last_used_at DESC LIMIT 1"
    aged = f"UPDATE {families} SET last_used_at = now() - interval '31 days' WHERE id <> ({newest})"
    identity_by_hand.execute(f"ALTER TABLE {tokens} DISABLE TRIGGER USER")  # it would note a use
    identity_by_hand.execute(aged)
    one_day = 24 * 60
    given = {"expired": (120, True), "just expired": (30, True), "used": (-one_day, True), "newest": (-one_day, False)}
    for name, (age, used) in given.items():
        identity_by_hand.execute(_TOKEN.format(tokens=tokens, families=families, when=">"), [name.encode(), age, used])
    for name, used in (("old", True), ("last", False)):
        identity_by_hand.execute(
            _TOKEN.format(tokens=tokens, families=families, when="<"), [name.encode(), one_day, used]
        )
    async with identity.begin() as connection:
        await pruning.prune(connection)
    left = f"SELECT hash FROM {tokens} WHERE hash = ANY (SELECT sha256(n::bytea) FROM unnest(%s::text[]) AS n)"
    assert len(identity_by_hand.execute(left, [["just expired", "used", "newest", "last"]]).fetchall()) == 4
    assert identity_by_hand.execute(left, [["expired", "old"]]).fetchall() == []
    ended = f"SELECT ended_at IS NOT NULL FROM {families} ORDER BY last_used_at DESC"
    assert identity_by_hand.execute(ended).fetchall() == [(False,), (True,)]
    assert revoked(identity_by_hand) == set(), "no access token is that old"


async def test_a_session_that_goes_on_keeps_what_shows_a_theft(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID
) -> None:
    async with identity.begin() as connection:
        assert await accounts.locked(connection, VAULT, person)
        stolen = (await sessions.begin(connection, person, b"")).refresh_token
        token = stolen
        for _ in range(3):
            refreshed = await sessions.rotate(connection, VAULT, token, "Tab/1.0")
            assert refreshed
            token = refreshed.refresh_token
    identity_by_hand.execute(
        "UPDATE refresh_tokens SET used_at = used_at - interval '29 days' WHERE used_at IS NOT NULL"
    )
    async with identity.begin() as connection:
        await pruning.prune(connection)
    async with identity.begin() as connection:
        assert await sessions.rotate(connection, VAULT, stolen, "Tab/1.0") is None
    assert open_ages(identity_by_hand, "sessions", person) == []


async def test_a_round_of_the_upkeep_deletes_more_than_one_batch(
    identity: AsyncEngine, identity_by_hand: psycopg.Connection, person: UUID
) -> None:
    identity_by_hand.execute(_SESSIONS, [person, 450])
    identity_by_hand.execute("UPDATE sessions SET ended_at = now() - interval '2 hours'")
    identity_by_hand.execute("INSERT INTO refresh_tokens SELECT sha256(id::text::bytea), id, now() FROM sessions")
    identity_by_hand.execute("UPDATE revocations SET revoked_at = now() - interval '1 day'")
    await upkeep.delete_old(identity)
    for table in ("sessions", "refresh_tokens", "revocations"):
        assert identity_by_hand.execute(f"SELECT count(*) FROM {table}").fetchall() == [(0,)], table


_OLD_CLIENT = """
INSERT INTO clients (name, redirect_uris, grants, scopes, roles, may_introspect)
VALUES ('A', '{}', '{}', '{}', '{}', false) RETURNING id
"""
_OLD_PERSON = """
INSERT INTO users (id, address_hash, profile, password_hash, roles) VALUES (%s, sha256(%s), '', '', '{}')
"""
_OLD_FAMILIES = """
INSERT INTO refresh_families (user_id, client_id, scopes, created_at)
SELECT %s, %s, '{openid}', now() - make_interval(mins => 60 + age) FROM generate_series(1, %s) AS age
"""


@pytest.fixture
def old_identity(databases: _Databases) -> str:
    """Identity's database as the migration before makes it."""
    url = databases.make()
    migrate_to("0006", "identity", url)
    return url


def test_what_was_open_before_the_bound_is_reduced_to_it(old_identity: str) -> None:
    people = {uuid4(): 3 * MOST, uuid4(): MOST}
    with psycopg.connect(plain(old_identity), autocommit=True) as connection:
        [(client_id,)] = connection.execute(_OLD_CLIENT).fetchall()
        for person, count in people.items():
            connection.execute(_OLD_PERSON, [person, str(person).encode()])
            connection.execute(_SESSIONS, [person, count])
            connection.execute(_OLD_FAMILIES, [person, client_id, count])
        migrate("identity", old_identity)
        for person in people:
            assert open_ages(connection, "sessions", person) == [*range(1, MOST + 1)]
            assert open_ages(connection, "refresh_families", person) == [*range(61, 61 + MOST)]
        assert revoked(connection) == set(), "all that ended was used long ago"


def test_the_end_of_all_sessions_does_not_deadlock_with_their_migration(old_identity: str) -> None:
    ends = (
        "UPDATE sessions SET ended_at = now()",
        "DELETE FROM authorization_codes",
        "UPDATE refresh_families SET ended_at = now()",
    )
    with (
        psycopg.connect(plain(old_identity), autocommit=True) as watcher,
        psycopg.connect(plain(old_identity)) as ending,
        ThreadPoolExecutor() as threads,
    ):
        ending.execute(ends[0])
        migrating = threads.submit(migrate, "identity", old_identity)
        while not (a_transaction_waits(watcher) or migrating.done()):
            time.sleep(0.05)
        time.sleep(0.2)
        for statement in ends[1:]:
            ending.execute(statement)
        ending.commit()
        migrating.result(timeout=30)


def a_transaction_waits(identity_by_hand: psycopg.Connection) -> bool:
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(identity_by_hand.execute(query).fetchall())
