"""What identity's routes work with: its database, the vault, and the audit log in which they note what was done."""

from __future__ import annotations

from typing import Annotated, NamedTuple
from uuid import UUID

import orjson
from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from api.passwords import check_password
from api.resources import IdentityDatabase, Open
from api.security import Principal
from db.identity import accounts, second_factors
from db.identity.accounts import Account
from db.identity.audit_log import NOBODY, AuditLog, Entry, of_user
from db.identity.vault import PersonalKey, Vault
from domain.problems import ProblemType, Refused

_LONGEST_DEVICE = 200


class FrontDesk(NamedTuple):
    """Serves one request."""

    engine: AsyncEngine
    vault: Vault
    audit_log: AuditLog
    request: Request

    def origin(self) -> bytes:
        """From where the request comes, as JSON. It is personal: seal it."""
        agent = self.request.headers.get("user-agent", "")[:_LONGEST_DEVICE]
        address = self.request.client.host if self.request.client else None
        return orjson.dumps({"user_agent": agent.encode("utf-8", "replace").decode(), "address": address})

    async def account(self, connection: AsyncConnection, user_id: UUID) -> Account:
        """The caller's own account, locked until the transaction ends.

        Raises:
            Refused: NOT_FOUND: It has been erased.
        """
        return known(await accounts.locked(connection, self.vault, user_id))

    async def note(self, connection: AsyncConnection, action: str, caller: Principal, object: str) -> None:
        """Note what a person did; the last statement of its transaction."""
        key = await accounts.key_of(connection, self.vault, caller.user_id)
        roles = ",".join(sorted(caller.roles))
        await self._note(connection, action, of_user(caller.user_id), object, key, roles)

    async def note_of(self, connection: AsyncConnection, action: str, user_id: UUID, key: PersonalKey) -> None:
        """Note what somebody did to an account without being logged in, such as by a token from its mail."""
        await self._note(connection, action, NOBODY, of_user(user_id), key)

    async def _note(
        self,
        connection: AsyncConnection,
        action: str,
        actor: str,
        object: str,
        key: PersonalKey | None,
        roles: str = "",
    ) -> None:
        origin = key.seal("origin", self.origin()) if key else None
        request_id = self.request.scope.get("request_id")
        await self.audit_log.append(connection, Entry(actor, action, object, roles, origin, request_id))

    async def prove_password(self, user_id: UUID, password: str) -> None:
        """Have somebody who is logged in prove once more who they are.

        Raises:
            Refused: FORBIDDEN: The password is wrong.
        """
        async with self.engine.connect() as connection:
            credentials = await accounts.credentials_of(connection, user_id)
        if not (await check_password(password, credentials.password_hash if credentials else None)).fits:
            raise Refused(ProblemType.FORBIDDEN, "The password is wrong.")

    async def prove(self, user_id: UUID, password: str, code: str | None) -> None:
        """Have them prove it by password and, where they have one, second factor: before what weakens or ends all.

        Raises:
            Refused: FORBIDDEN: The password is wrong, or the code.
        """
        await self.prove_password(user_id, password)
        async with self.engine.begin() as connection:
            account = await self.account(connection, user_id)
            if await second_factors.is_in_force(connection, user_id) and not (
                code and await second_factors.use(connection, account, code)
            ):
                raise Refused(ProblemType.FORBIDDEN, "The code of your second factor is wrong, used, or missing.")


async def _front_desk(request: Request, opened: Open, engine: IdentityDatabase) -> FrontDesk:
    return FrontDesk(engine, opened.vault, opened.audit_log, request)


AtFrontDesk = Annotated[FrontDesk, Depends(_front_desk)]


def known(account: Account | None) -> Account:
    """The account.

    Raises:
        Refused: NOT_FOUND: There is none, or no more.
    """
    if account is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    return account
