"""How to reach a person, asked of the identity service: we keep no addresses of our own."""

from __future__ import annotations

from uuid import UUID

import httpx2
from pydantic import BaseModel, ConfigDict, ValidationError

from domain.problems import ProblemType, Refused


class Contact(BaseModel):
    model_config = ConfigDict(frozen=True)

    email: str
    name: str


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
        try:
            answer = await self._client.get(f"/internal/v1/users/{user_id}/contact")
            if answer.status_code == httpx2.codes.NOT_FOUND:
                return None
            return Contact.model_validate_json(answer.raise_for_status().content)
        except ValidationError:
            raise Refused(ProblemType.UNAVAILABLE, "identity answered no contact") from None
        except httpx2.HTTPStatusError as error:
            raise Refused(ProblemType.UNAVAILABLE, f"identity answered {error.response.status_code}") from None
        except httpx2.HTTPError as error:
            raise Refused(ProblemType.UNAVAILABLE, f"identity did not answer: {type(error).__name__}") from None
