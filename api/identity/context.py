"""What identity's routes work with: its database, the vault, the audit log, proofs of identity."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Annotated, Final, NamedTuple
from uuid import UUID

from fastapi import Depends, Request
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.internal.bookings import BookingHistoryClient
from api.auth.audit import origin_of, readable_request_id
from api.auth.tokens import Principal, invalid_token
from api.edge.rate_limits import address_of
from api.http.off_loop import Queue
from api.http.resources import IdentityDatabase, Open
from api.identity.even_time import STEP, next_step, until
from api.identity.login_throttle import LogInThrottle, TooOften
from api.identity.mail_requests import MailRequests
from api.identity.passwords import Verdict, check_password
from config.settings import Settings, secret
from db.identity import accounts, sessions
from db.identity.accounts import Account, Credentials
from db.identity.audit_log import NOBODY, ORIGIN, AuditLog, Entry, of_user
from db.identity.vault import PersonalKey, Vault
from domain.problems import ProblemType, Refused

_WAITING: Final = 50
_SECONDS: Final = 2.0


class IdentitySecrets(NamedTuple):
    """What only identity's processes have: they open people's data, and write the audit log.

    Attributes:
        openings: Histories are opened here, one at a time, so that an answer about seats waits for one of them at most.
    """

    vault: Vault
    audit_log: AuditLog
    booking_history: BookingHistoryClient
    openings: Queue


async def open_identity(settings: Settings, redis: Redis, stack: AsyncExitStack) -> IdentitySecrets:
    """For identity's processes."""
    booking_history = BookingHistoryClient(settings.api_url)
    stack.push_async_callback(booking_history.close)
    openings = Queue(_WAITING, _SECONDS)
    return IdentitySecrets(open_vault(settings), AuditLog(secret(settings.audit_log_secret)), booking_history, openings)


def open_vault(settings: Settings) -> Vault:
    """What opens people's data."""
    return Vault(secret(settings.personal_data_keys).split(","), secret(settings.address_secret))


class IdentityContext(NamedTuple):
    """Serves one request."""

    engine: AsyncEngine
    vault: Vault
    audit_log: AuditLog
    booking_history: BookingHistoryClient
    openings: Queue
    request: Request

    def origin(self) -> bytes:
        """The origin of the request. It is personal data: seal it."""
        return origin_of(self.request)

    async def record(self, connection: AsyncConnection, caller: Principal, action: str, object: str) -> None:
        """Record what a person does, in the transaction that does it and as its last statement."""
        key = await accounts.key_of(connection, self.vault, caller.user_id)
        roles = ",".join(sorted(caller.roles))
        await self._append(connection, Entry(of_user(caller.user_id), action, object, roles), key)

    @asynccontextmanager
    async def proving(self) -> AsyncIterator[None]:
        """Surround a proof of identity, with its transaction: a refusal is recorded, and its time reveals nothing.

        Refusals are recorded before the answer: no entry is lost, and the caller's next request does not wait for the
        entry of an account that exists. The time of the answer is fixed before that, with a whole step to record in.
        """
        started = monotonic()
        self.request.state.refusals = refusals = list[tuple[Entry, UUID]]()
        try:
            yield
        except Refused:
            answer_at = next_step(started) + STEP
            for entry, user_id in refusals:
                await self._record_refusal(entry, user_id)
            await until(answer_at)
            raise

    def record_refusal(self, action: str, user_id: UUID, *, actor: str = NOBODY) -> None:
        """Record a failed proof of identity once its transaction has ended; only within `proving`."""
        self.request.state.refusals.append((Entry(actor, action, of_user(user_id)), user_id))

    async def _record_refusal(self, entry: Entry, user_id: UUID) -> None:
        async with self.engine.begin() as connection:
            if key := await accounts.key_of(connection, self.vault, user_id):
                await self._append(connection, entry, key)

    async def record_anonymous(self, connection: AsyncConnection, action: str, user_id: UUID, key: PersonalKey) -> None:
        """Record what is done to an account without a log-in, such as by a token from its mail."""
        await self._append(connection, Entry(NOBODY, action, of_user(user_id)), key)

    async def _append(self, connection: AsyncConnection, entry: Entry, key: PersonalKey | None) -> None:
        origin = key.seal(ORIGIN, self.origin()) if key else None
        request_id = readable_request_id(self.request)
        await self.audit_log.append(connection, replace(entry, origin=origin, request_id=request_id))

    async def account(self, connection: AsyncConnection, user_id: UUID) -> Account:
        """An account, locked until the transaction ends.

        Raises:
            Refused: NOT_FOUND: It has been erased.
        """
        return require_account(await accounts.locked(connection, self.vault, user_id))

    async def account_of_session(self, connection: AsyncConnection, caller: Principal) -> Account:
        """The caller's account, locked until the transaction ends, if the caller's session goes on.

        For what outlives the session: the end of all sessions may have come after the access token was checked.

        Raises:
            Refused: NOT_FOUND: The account has been erased. UNAUTHENTICATED: The session has ended.
        """
        account = await self.account(connection, caller.user_id)
        if not (caller.session_id and await sessions.goes_on(connection, account.id, caller.session_id)):
            raise invalid_token()
        return account

    async def prove_password(self, user_id: UUID, password: str) -> Credentials:
        """Check the password of a person who is logged in; return what it was checked against.

        Raises:
            Refused: FORBIDDEN: The password is wrong. RATE_LIMITED: Too many tries have failed.
        """
        async with self.engine.connect() as connection:
            account = require_account(await accounts.find(connection, self.vault, user_id))
            credentials = await accounts.credentials_of(connection, user_id)
        async with self.proving():
            verdict = await self.check_password(account.profile.email, password, credentials)
            if credentials is None or not verdict.fits:
                self.record_refusal("password.refused", user_id, actor=of_user(user_id))
                raise Refused(ProblemType.FORBIDDEN, "The password is wrong.")
        return credentials

    async def check_password(self, email: str, password: str, credentials: Credentials | None) -> Verdict:
        """Whether the password fits the account with this address, which may not exist; failures are counted.

        Raises:
            Refused: RATE_LIMITED: Too many tries have failed.
        """
        throttle: LogInThrottle = self.request.app.state.log_in_throttle
        try:
            async with throttle.counted(self.vault.address_hash(email), address_of(self.request.scope)) as tried:
                verdict = await check_password(password, credentials.password_hash if credentials else None)
                tried.was_wrong = not verdict.fits
        except TooOften as refusal:
            if credentials and refusal.is_first:
                self.record_refusal("log-in.throttled", credentials.user_id)
            raise
        return verdict

    def mail_request(self, kind: str, email: str) -> AbstractAsyncContextManager[bool]:
        """Surround a request that may send a mail to an address: only the first of some seconds does it."""
        requests: MailRequests = self.request.app.state.mail_requests
        return requests.counted(kind, self.vault.address_hash(email))

    async def is_at_home(self, email: str) -> None:
        """Remember that the account's owner uses the address that the request comes from."""
        throttle: LogInThrottle = self.request.app.state.log_in_throttle
        await throttle.is_at_home(self.vault.address_hash(email), address_of(self.request.scope))


async def _context(request: Request, opened: Open, engine: IdentityDatabase) -> IdentityContext:
    own = opened.part(IdentitySecrets)
    return IdentityContext(engine, own.vault, own.audit_log, own.booking_history, own.openings, request)


Identity = Annotated[IdentityContext, Depends(_context)]


def require_account(account: Account | None) -> Account:
    """The account.

    Raises:
        Refused: NOT_FOUND: There is none, or it was erased.
    """
    if account is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    return account
