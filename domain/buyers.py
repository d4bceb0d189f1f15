"""What a payment provider's fraud checks may learn of a buyer, in clear and sealed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from pydantic import BaseModel, ConfigDict


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class BuyerDetails(_Frozen):
    """The buyer of one payment; None is what the buyer has not given.

    Attributes:
        phone: E.164.
        identity_number: Of a national identity card or passport.
        country: ISO 3166-1 alpha-2.
        ip: The public IPv4 address from which the buyer pays, as the API sees it.
    """

    name: str | None = None
    surname: str | None = None
    email: str | None = None
    phone: str | None = None
    identity_number: str | None = None
    address: str | None = None
    city: str | None = None
    country: str | None = None
    ip: str | None = None


UNKNOWN: Final = BuyerDetails()


class SealedBuyer(_Frozen):
    """Details of a buyer as workflows carry them: without the person's key, which is erased with the account, nothing.

    Attributes:
        user_id: Whose key opens them.
        sealed: `BuyerDetails` as JSON, sealed.
    """

    user_id: UUID
    sealed: str
