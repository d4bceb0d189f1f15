"""Single-use tokens sent by mail. A person who returns one can read the mails of the account's address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils.compat import uuid7

from db.identity.tables import MailTokenRow, UserRow
from db.identity.vault import Vault
from db.outbox import append
from domain.domain_events import DomainEvent, UserAskedForPasswordReset, UserAskedForVerification


class Purpose(StrEnum):
    """What a token allows. One made for another purpose is refused."""

    VERIFICATION = "verification"
    PASSWORD_RESET = "password_reset"


_LIFETIMES: Final = {Purpose.VERIFICATION: timedelta(days=3), Purpose.PASSWORD_RESET: timedelta(hours=1)}
_FIRST_PAUSE: Final = timedelta(minutes=1)
_COUNTED: Final = timedelta(days=1)


async def send(
    connection: AsyncConnection,
    vault: Vault,
    user_id: UUID,
    purpose: Purpose,
    asked: Callable[[UUID, UUID], DomainEvent] | None = None,
) -> bool:
    """Request a mail with a token to a locked account; False if it is too early for another one.

    Anyone can request mails to another person's address. So the pause doubles with each mail of a day, and is never
    longer than that day or the life of a token: within it the token of the last mail is still valid.

    Earlier tokens stay valid, so that the order in which mails are read does not matter.

    Args:
        connection: Within a transaction.
        vault: Makes the token.
        user_id: The account.
        purpose: What the token allows.
        asked: Makes the domain event that leads to the mail, of the person's and the token's id.
    """
    if await _is_too_early(connection, user_id, purpose):
        return False
    token_id = uuid7()
    await connection.execute(
        insert(MailTokenRow).values(
            id=token_id,
            user_id=user_id,
            purpose=purpose,
            hash=_digest(vault.mail_token(token_id)),
            expires_at=func.now() + _LIFETIMES[purpose],
        )
    )
    await append(connection, user_id, asked(user_id, token_id) if asked else _asked(user_id, token_id, purpose))
    return True


async def _is_too_early(connection: AsyncConnection, user_id: UUID, purpose: Purpose) -> bool:
    row = MailTokenRow
    of_today = select(func.count(), func.now() - func.max(row.created_at)).where(
        row.user_id == user_id, row.purpose == purpose, row.created_at > func.now() - _COUNTED
    )
    count, since_last = (await connection.execute(of_today)).one()
    return count > 0 and since_last < min(_FIRST_PAUSE * 2 ** min(count - 1, 12), _LIFETIMES[purpose])


async def to_mail(connection: AsyncConnection, vault: Vault, user_id: UUID, token_id: UUID) -> str | None:
    """The token for its mail; None if it is used or expired, so that no mail is needed."""
    live = select(MailTokenRow.id).where(
        MailTokenRow.id == token_id, MailTokenRow.user_id == user_id, MailTokenRow.expires_at > func.now()
    )
    return vault.mail_token(token_id) if await connection.scalar(live) else None


async def is_good(connection: AsyncConnection, token: str, purpose: Purpose) -> bool:
    """Whether the token could be used at this moment."""
    return await connection.scalar(select(MailTokenRow.id).where(_is_good(token, purpose))) is not None


def _is_good(token: str, purpose: Purpose) -> ColumnElement[bool]:
    row = MailTokenRow
    return and_(row.hash == _digest(token), row.purpose == purpose, row.expires_at > func.now())


async def use(connection: AsyncConnection, token: str, purpose: Purpose) -> UUID | None:
    """Use up the token and all others for this purpose. Returns its person; None if the token is not valid.

    The person's row is locked first, in the same order as in an erasure, to avoid a deadlock.
    """
    owner = select(MailTokenRow.user_id).where(_is_good(token, purpose)).scalar_subquery()
    await connection.execute(select(UserRow.id).where(UserRow.id == owner).with_for_update())
    user_id = await connection.scalar(
        delete(MailTokenRow).where(_is_good(token, purpose)).returning(MailTokenRow.user_id)
    )
    if user_id is not None:
        await end_all(connection, user_id, purpose)
    return user_id


async def end_all(connection: AsyncConnection, user_id: UUID, purpose: Purpose) -> None:
    """Make all tokens of a locked account for this purpose invalid."""
    await connection.execute(
        delete(MailTokenRow).where(MailTokenRow.user_id == user_id, MailTokenRow.purpose == purpose)
    )


def _asked(user_id: UUID, token_id: UUID, purpose: Purpose) -> DomainEvent:
    if purpose is Purpose.VERIFICATION:
        return UserAskedForVerification(user_id=user_id, token_id=token_id)
    return UserAskedForPasswordReset(user_id=user_id, token_id=token_id)


def _digest(token: str) -> bytes:
    # The token has 256 bits that cannot be guessed, so a fast hash without salt gives nothing away.
    return sha256(token.encode()).digest()
