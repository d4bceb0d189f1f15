"""The second factor: codes of an authenticator (TOTP, RFC 6238), or recovery codes; each works once."""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode
from collections.abc import Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP
from sqlalchemy import and_, delete, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from db.identity.accounts import Account
from db.identity.tables import LogInChallengeRow, RecoveryCodeRow, SecondFactorRow

_ISSUER: Final = "Seatwright"
_PURPOSE: Final = "second factor"
_STEP: Final = 30  # seconds
_DIGITS: Final = 6
_RECOVERY_CODES: Final = 10
CHALLENGE_LIFETIME: Final = timedelta(minutes=5)
_TRIES: Final = 5
_MOST_WRONG: Final = 50
"""Wrong codes in a row, after which only a recovery code works. It cannot be guessed, so the owner can still log in."""


async def begin(connection: AsyncConnection, account: Account) -> str:
    """Create a secret for the account; `confirm` activates it. Returns its `otpauth:` URI for an authenticator.

    The caller has locked the account and checked that none is active.
    """
    secret = secrets.token_bytes(20)
    sealed = account.key.seal(_PURPOSE, secret)
    await connection.execute(
        upsert(SecondFactorRow)
        .values(user_id=account.id, secret=sealed)
        .on_conflict_do_update(index_elements=["user_id"], set_={"secret": sealed, "last_step": 0})
    )
    return _totp(secret).get_provisioning_uri(account.profile.email, _ISSUER)


async def confirm(connection: AsyncConnection, account: Account, code: str) -> Sequence[str] | None:
    """Activate the secret with its first code. Returns the recovery codes; None if the code is wrong."""
    if await is_in_force(connection, account.id) or not await _use_code(connection, account, code):
        return None
    await connection.execute(
        update(SecondFactorRow).where(SecondFactorRow.user_id == account.id).values(confirmed_at=func.now())
    )
    codes = [_new_recovery_code() for _ in range(_RECOVERY_CODES)]
    await connection.execute(
        insert(RecoveryCodeRow), [{"user_id": account.id, "hash": _recovery_digest(each)} for each in codes]
    )
    return codes


async def is_in_force(connection: AsyncConnection, user_id: UUID) -> bool:
    """Whether a log-in needs a code; a secret without a first correct code does not count."""
    confirmed = select(SecondFactorRow.confirmed_at).where(SecondFactorRow.user_id == user_id)
    return await connection.scalar(confirmed) is not None


async def use(connection: AsyncConnection, account: Account, code: str) -> bool:
    """Use up a code of the authenticator, or a recovery code; False if it is wrong or used.

    The attempt is counted already. After too many wrong codes in a row only a recovery code works.
    """
    if not (await _use_code(connection, account, code) or await _use_recovery_code(connection, account.id, code)):
        return False
    await connection.execute(update(SecondFactorRow).where(SecondFactorRow.user_id == account.id).values(wrong_codes=0))
    return True


async def remove(connection: AsyncConnection, user_id: UUID) -> bool:
    """Remove the account's second factor, with its recovery codes and waiting log-ins. False if there is none."""
    gone = await connection.execute(delete(SecondFactorRow).where(SecondFactorRow.user_id == user_id))
    return gone.rowcount > 0


async def challenge(connection: AsyncConnection, user_id: UUID) -> str:
    """A challenge with which a log-in continues after the correct password."""
    await connection.execute(
        delete(LogInChallengeRow).where(
            LogInChallengeRow.user_id == user_id, LogInChallengeRow.expires_at <= func.now()
        )
    )
    word = secrets.token_urlsafe(32)
    await connection.execute(
        insert(LogInChallengeRow).values(
            hash=_digest(word), user_id=user_id, expires_at=func.now() + CHALLENGE_LIFETIME
        )
    )
    return word


async def try_challenge(connection: AsyncConnection, word: str) -> UUID | None:
    """Count an attempt with a code. Returns the person; None if the challenge is unknown, expired or used up.

    The caller has to commit in every case, so that wrong codes count.
    """
    good = and_(
        LogInChallengeRow.hash == _digest(word),
        LogInChallengeRow.expires_at > func.now(),
        LogInChallengeRow.tries < _TRIES,
    )
    user_id = await connection.scalar(select(LogInChallengeRow.user_id).where(good))
    if user_id is None:
        return None
    await count_try(connection, user_id)  # first, because the removal of a second factor locks it before its challenges
    tried = await connection.execute(
        update(LogInChallengeRow)
        .where(good)
        .values(tries=LogInChallengeRow.tries + 1)
        .returning(LogInChallengeRow.user_id)
    )
    return tried.scalar_one_or_none()


async def is_waiting(connection: AsyncConnection, user_id: UUID, word: str) -> bool:
    """Whether the person's log-in with this challenge still waits; the caller has locked the person's row."""
    row = LogInChallengeRow
    waiting = select(row.hash).where(row.hash == _digest(word), row.user_id == user_id)
    return await connection.scalar(waiting) is not None


async def count_try(connection: AsyncConnection, user_id: UUID) -> None:
    """Count a code as wrong before it is checked. Commit that first, so that parallel attempts gain nothing."""
    await connection.execute(
        update(SecondFactorRow)
        .where(SecondFactorRow.user_id == user_id)
        .values(wrong_codes=SecondFactorRow.wrong_codes + 1)
    )


async def end_challenges(connection: AsyncConnection, user_id: UUID) -> None:
    """Delete all waiting log-ins of the account: one is complete, or the password has changed."""
    await connection.execute(delete(LogInChallengeRow).where(LogInChallengeRow.user_id == user_id))


async def _use_code(connection: AsyncConnection, account: Account, code: str) -> bool:
    """Whether it is a code of the current 30 seconds, the previous or the next, and newer than every used one."""
    found = await connection.execute(
        select(SecondFactorRow.secret, func.extract("epoch", func.now()).label("now")).where(
            SecondFactorRow.user_id == account.id, SecondFactorRow.wrong_codes <= _MOST_WRONG
        )
    )
    row = found.one_or_none()
    if row is None:
        return False
    totp, present = _totp(account.key.open(_PURPOSE, row.secret)), int(row.now) // _STEP
    for step in (present - 1, present, present + 1):
        if hmac.compare_digest(totp.generate(step * _STEP), code.encode()):
            return await _use_step(connection, account.id, step)
    return False


async def _use_step(connection: AsyncConnection, user_id: UUID, step: int) -> bool:
    used = await connection.execute(
        update(SecondFactorRow)
        .where(SecondFactorRow.user_id == user_id, SecondFactorRow.last_step < step)
        .values(last_step=step)
    )
    return used.rowcount == 1


async def _use_recovery_code(connection: AsyncConnection, user_id: UUID, code: str) -> bool:
    used = await connection.execute(
        delete(RecoveryCodeRow).where(
            RecoveryCodeRow.user_id == user_id, RecoveryCodeRow.hash == _recovery_digest(code)
        )
    )
    return used.rowcount == 1


def _totp(secret: bytes) -> TOTP:
    # SHA-1, as authenticators expect it; its collisions do not matter to an HMAC.
    return TOTP(secret, _DIGITS, SHA1(), _STEP)  # nosec B303


def _new_recovery_code() -> str:
    letters = b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(letters[start : start + 4] for start in range(0, len(letters), 4))


def _recovery_digest(code: str) -> bytes:
    return _digest(code.strip().lower().replace("-", "").replace(" ", ""))


def _digest(word: str) -> bytes:
    # 80 random bits or more: a fast hash without salt gives nothing away.
    return sha256(word.encode()).digest()
