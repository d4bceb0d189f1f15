"""How to reach a person, asked of the identity service: we keep no addresses of our own."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

import httpx2
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
    """The identity service's contact data."""

    def __init__(self, api_url: str, token: str) -> None:
        self._client = httpx2.AsyncClient(
            base_url=api_url, headers={"Authorization": f"Bearer {token}"}, timeout=5.0, trust_env=False
        )

    async def close(self) -> None:
        await self._client.aclose()

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
            answer = await self._client.get(path)
            if answer.status_code == httpx2.codes.NOT_FOUND:
                return None
            return kind.model_validate_json(answer.raise_for_status().content)
        except ValidationError:
            raise Refused(ProblemType.UNAVAILABLE, "identity answered something else") from None
        except httpx2.HTTPStatusError as error:
            raise Refused(ProblemType.UNAVAILABLE, f"identity answered {error.response.status_code}") from None
        except httpx2.HTTPError as error:
            raise Refused(ProblemType.UNAVAILABLE, f"identity did not answer: {type(error).__name__}") from None
