"""Accounts: the only statements that touch people's profiles and password hashes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Select, and_, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as insert_or_not
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from db.identity.tables import UserKeyRow, UserRow
from db.identity.vault import PersonalKey, Vault
from db.outbox import append
from domain.domain_events import UserRegistered
from domain.identity import Profile, Role
from domain.problems import other_list

MOST_FOUND: Final = 20
FIRST: Final = UUID(int=0)

_PAGE: Final = 500

_PURPOSE = "profile"


@dataclass(frozen=True, slots=True)
class Account:
    """A person's account as its owner sees it.

    Attributes:
        key: Opens everything else that is sealed for this person.
    """

    id: UUID
    profile: Profile
    roles: frozenset[Role]
    created_at: datetime
    verified_at: datetime | None
    key: PersonalKey


class FoundAccount(NamedTuple):
    """An account whose profile stays sealed."""

    id: UUID
    created_at: datetime
    verified_at: datetime | None


class HashedNames(NamedTuple):
    """How many names of a page were hashed anew, and where to continue; None if nothing is left."""

    changed: int
    after: UUID | None


@dataclass(frozen=True, slots=True)
class Credentials:
    """The data that a log-in is checked against."""

    user_id: UUID
    roles: frozenset[Role]
    password_hash: str


async def register(
    connection: AsyncConnection,
    vault: Vault,
    profile: Profile,
    *,
    password_hash: str,
    roles: Collection[Role],
    id: UUID | None = None,
) -> Account | None:
    """Create an account and publish its id, by default a new one; None if the address has an account already."""
    user_id = id or uuid7()
    key, wrapped = vault.new_key(user_id)
    made = await connection.execute(
        insert_or_not(UserRow)
        .values(
            id=user_id,
            address_hash=vault.address_hash(profile.email),
            name_hash=vault.name_hash(profile.name),
            profile=_sealed(key, profile),
            password_hash=password_hash,
            roles=sorted(roles),
        )
        .on_conflict_do_nothing(index_elements=["address_hash"])
        .returning(UserRow.created_at)
    )
    created_at = made.scalar_one_or_none()
    if created_at is None:
        return None
    await connection.execute(insert(UserKeyRow).values(user_id=user_id, wrapped=wrapped))
    await append(connection, user_id, UserRegistered(user_id=user_id))
    return Account(user_id, profile, frozenset(roles), created_at, None, key)


async def find(connection: AsyncConnection, vault: Vault, user_id: UUID) -> Account | None:
    """The account; None also when it has been erased."""
    return await connection.run_sync(of_user, vault, user_id)


async def find_by_address(connection: AsyncConnection, vault: Vault, email: str) -> Account | None:
    """The account with this address, in upper or lower case; None also when it has been erased."""
    return await connection.run_sync(_read, vault, _accounts(UserRow.address_hash == vault.address_hash(email)))


async def find_by_name(
    connection: AsyncConnection, vault: Vault, name: str, after: UUID | None = None
) -> list[FoundAccount]:
    """A page of the accounts of people with this whole name, in any spelling; at most `MOST_FOUND` and one.

    The one more shows that there is a further page.

    Accounts with a proven address come first, because anyone can register others under any name; then the newest. An
    account that has been erased is not among them.

    Args:
        connection: To identity's database.
        vault: Hashes the name.
        name: The whole name.
        after: The last account of the page before; None for the first page.

    Raises:
        Refused: INVALID_REQUEST: `after` is no account of this name.
    """
    # An erasure by version 0.1.0, which does not know the hash, has left it.
    named = and_(UserRow.name_hash == vault.name_hash(name), UserRow.erased_at.is_(None))
    page = select(UserRow.id, UserRow.created_at, UserRow.verified_at).where(named)
    if after:
        is_proven = await connection.execute(select(UserRow.verified_at.is_not(None)).where(named, UserRow.id == after))
        last = is_proven.one_or_none()
        if last is None:
            raise other_list()
        page = page.where(tuple_(UserRow.verified_at.is_not(None), UserRow.id) < tuple_(last[0], after))
    found = await connection.execute(
        page.order_by(UserRow.verified_at.is_not(None).desc(), UserRow.id.desc()).limit(MOST_FOUND + 1)
    )
    return [FoundAccount(*row) for row in found]


async def hash_names(connection: AsyncConnection, vault: Vault, after: UUID, *, page: int = _PAGE) -> HashedNames:
    """Hash the names of a page of accounts for `find_by_name`, where a version without these hashes has stored them.

    With the last page go the hashes that such a version has left of erased people.

    Raises:
        KeyError: A key is wrapped by a master key that is not configured any more.
    """
    known = select(UserRow.id, UserRow.profile, UserRow.name_hash, UserKeyRow.wrapped)
    live = known.join(UserKeyRow, UserKeyRow.user_id == UserRow.id).where(
        UserRow.id > after, UserRow.erased_at.is_(None)
    )
    rows = (await connection.execute(live.order_by(UserRow.id).limit(page))).all()
    is_last = len(rows) < page
    changed = await _forget_left_hashes(connection) if is_last else 0
    for row in rows:
        hashed = vault.name_hash(_profile(vault.unwrap(row.id, row.wrapped), row.profile).name)
        if hashed != row.name_hash:
            # A profile that has changed since, or is erased, keeps what that change has stored.
            same = update(UserRow).where(UserRow.id == row.id, UserRow.profile == row.profile)
            changed += (await connection.execute(same.values(name_hash=hashed))).rowcount
    return HashedNames(changed, None if is_last else rows[-1].id)


async def _forget_left_hashes(connection: AsyncConnection) -> int:
    """How many hashes an older version had left of people it has erased; no index finds them."""
    left = update(UserRow).where(UserRow.erased_at.is_not(None), UserRow.name_hash.is_not(None))
    return (await connection.execute(left.values(name_hash=None))).rowcount


def of_user(connection: Connection, vault: Vault, user_id: UUID) -> Account | None:
    """As `find`, for synchronous callers."""
    return _read(connection, vault, _accounts(UserRow.id == user_id))


async def locked(connection: AsyncConnection, vault: Vault, user_id: UUID) -> Account | None:
    """The account, locked until the transaction ends."""
    return await connection.run_sync(_read, vault, _accounts(UserRow.id == user_id).with_for_update(of=UserRow))


async def key_of(connection: AsyncConnection, vault: Vault, user_id: UUID) -> PersonalKey | None:
    """The person's key; None if there is no such person, or they are erased."""
    wrapped = await connection.scalar(select(UserKeyRow.wrapped).where(UserKeyRow.user_id == user_id))
    return vault.unwrap(user_id, wrapped) if wrapped else None


async def is_erased(connection: AsyncConnection, user_id: UUID) -> bool:
    """Whether the account existed, and was erased."""
    erased = select(UserRow.id).where(UserRow.id == user_id, UserRow.erased_at.is_not(None))
    return await connection.scalar(erased) is not None


async def credentials(connection: AsyncConnection, vault: Vault, email: str) -> Credentials | None:
    """The credentials of the account with this address, in any spelling."""
    return await _credentials(connection, UserRow.address_hash == vault.address_hash(email))


async def credentials_of(connection: AsyncConnection, user_id: UUID) -> Credentials | None:
    """The credentials of an account whose owner has to prove their identity again."""
    return await _credentials(connection, UserRow.id == user_id)


async def change_profile(connection: AsyncConnection, vault: Vault, account: Account, **changes: Any) -> Profile:
    """Change parts of the profile of an account that is `locked`."""
    profile = account.profile.model_copy(update=changes)
    hashed = vault.name_hash(profile.name)
    await _change(connection, account.id, profile=_sealed(account.key, profile), name_hash=hashed)
    return profile


async def set_password(connection: AsyncConnection, user_id: UUID, password_hash: str) -> None:
    """Replace the password's hash. The caller ends the account's sessions."""
    await _change(connection, user_id, password_hash=password_hash)


async def rehash(connection: AsyncConnection, known: Credentials, password_hash: str) -> None:
    """Store a better hash of the same password, unless the password has changed."""
    await connection.execute(
        update(UserRow)
        .where(UserRow.id == known.user_id, UserRow.password_hash == known.password_hash)
        .values(password_hash=password_hash)
    )


async def set_verified(connection: AsyncConnection, user_id: UUID) -> None:
    """Record that the person reads the mails of their address; the first time stays."""
    await connection.execute(
        update(UserRow).where(UserRow.id == user_id, UserRow.verified_at.is_(None)).values(verified_at=func.now())
    )


async def set_roles(
    connection: AsyncConnection, vault: Vault, user_id: UUID, roles: Collection[Role]
) -> Account | None:
    """Replace all roles of an account; None if there is none, or it has been erased."""
    await connection.execute(
        update(UserRow).where(UserRow.id == user_id, UserRow.erased_at.is_(None)).values(roles=sorted(roles))
    )
    return await find(connection, vault, user_id)


async def _change(connection: AsyncConnection, user_id: UUID, **values: Any) -> None:
    await connection.execute(update(UserRow).where(UserRow.id == user_id, UserRow.erased_at.is_(None)).values(**values))


async def _credentials(connection: AsyncConnection, who: ColumnElement[bool]) -> Credentials | None:
    found = await connection.execute(select(UserRow.id, UserRow.roles, UserRow.password_hash).where(who))
    row = found.one_or_none()
    return Credentials(row.id, _roles(row.roles), row.password_hash) if row and row.password_hash else None


def _accounts(who: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    return (
        select(UserRow.id, UserRow.profile, UserRow.roles, UserRow.created_at, UserRow.verified_at, UserKeyRow.wrapped)
        .join(UserKeyRow, UserKeyRow.user_id == UserRow.id)
        # A statement that waits for the row during an erasure gets the row's new version, but still sees the old key.
        .where(who, UserRow.erased_at.is_(None))
    )


def _read(connection: Connection, vault: Vault, statement: Select[*tuple[Any, ...]]) -> Account | None:
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    key = vault.unwrap(row.id, row.wrapped)
    return Account(row.id, _profile(key, row.profile), _roles(row.roles), row.created_at, row.verified_at, key)


def _sealed(key: PersonalKey, profile: Profile) -> bytes:
    return key.seal(_PURPOSE, profile.model_dump_json().encode())


def _profile(key: PersonalKey, sealed: bytes) -> Profile:
    return Profile.model_validate_json(key.open(_PURPOSE, sealed))


def _roles(names: Collection[str]) -> frozenset[Role]:
    return frozenset(map(Role, names))
