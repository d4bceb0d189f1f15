"""Contact data of a person, from the identity service, which alone stores addresses."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, ConfigDict

from adapters.internal.client import InternalClient
from domain.identity import Channel


class Contact(BaseModel):
    """A person's name and address, and the language (BCP 47) and the channels that the person has chosen.

    Attributes:
        email_verified: The person has proven that the address is theirs.
    """

    model_config = ConfigDict(frozen=True)

    email: str
    email_verified: bool
    name: str
    language: str = "en"
    channels: tuple[Channel, ...] = (Channel.EMAIL,)


class _MailToken(BaseModel):
    token: str


class ContactsClient:
    """The identity service's contact data and mail tokens."""

    def __init__(self, identity_url: str, token: str) -> None:
        self._identity = InternalClient("identity", identity_url, token)

    async def close(self) -> None:
        """Close the connections."""
        await self._identity.close()

    async def find(self, user_id: UUID) -> Contact | None:
        """A person's contact data; None if the person has been erased.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        return await self._identity.find(f"/internal/v1/users/{user_id}/contact", Contact)

    async def mail_token(self, user_id: UUID, token_id: UUID) -> str | None:
        """The secret that a mail to this person carries; None if it is no longer valid.

        Raises:
            Refused: UNAVAILABLE: The identity service gives no proper answer.
        """
        found = await self._identity.find(f"/internal/v1/users/{user_id}/mail-tokens/{token_id}", _MailToken)
        return found.token if found else None
