"""How to reach a person, asked of the identity service: we keep no addresses of our own."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar
from uuid import UUID

import aiohttp
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.identity import Channel
from domain.problems import ProblemType, Refused


class Contact(BaseModel):
    model_config = ConfigDict(frozen=True)

    email: str
    name: str
    channels: tuple[Channel, ...] = (Channel.EMAIL,)


class _MailToken(BaseModel):
    token: str


_Told = TypeVar("_Told", bound=BaseModel)


class Contacts:
    """The identity service's contact data; to be made where its event loop runs."""

    def __init__(self, api_url: str, token: str) -> None:
        self._client = aiohttp.ClientSession(
            api_url, headers={"Authorization": f"Bearer {token}"}, timeout=aiohttp.ClientTimeout(total=5)
        )

    async def close(self) -> None:
        await self._client.close()

    async def find(self, user_id: UUID) -> Contact | None:
        """Answer a person's contact data, or None for one who is erased.

        Raises:
            Refused: UNAVAILABLE: identity does not answer, or not as agreed.
        """
        return await self._ask(f"/internal/v1/users/{user_id}/contact", Contact)

    async def mail_token(self, user_id: UUID, token_id: UUID) -> str | None:
        """Answer the secret that a mail to this person is to carry, or None where it is no good any more.

        Raises:
            Refused: UNAVAILABLE: identity does not answer, or not as agreed.
        """
        told = await self._ask(f"/internal/v1/users/{user_id}/mail-tokens/{token_id}", _MailToken)
        return told.token if told else None

    async def _ask(self, path: str, kind: type[_Told]) -> _Told | None:
        try:
            async with self._client.get(path) as answer:
                if answer.status == HTTPStatus.NOT_FOUND:
                    return None
                if not answer.ok:
                    raise Refused(ProblemType.UNAVAILABLE, f"identity answered {answer.status}")
                return kind.model_validate_json(await answer.read())
        except ValidationError:
            raise Refused(ProblemType.UNAVAILABLE, "identity answered something else") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Refused(ProblemType.UNAVAILABLE, f"identity did not answer: {type(error).__name__}") from None
