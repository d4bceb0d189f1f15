"""Seals what a buyer gives for the fraud checks of a payment provider."""

from __future__ import annotations

import ipaddress
from typing import Final

import structlog
from fastapi import Request

from adapters.internal.personal_data import Purpose
from adapters.payment.registry import PROVIDERS
from api.auth.tokens import Principal
from api.reservation.context import ReservationContext
from api.reservation.schemas import BuyerBody
from domain.buyers import BuyerDetails, SealedBuyer
from domain.problems import Refused

BUYER: Final = {"buyer"}
"""Not part of what makes two requests the same: their digests are kept in clear."""

log = structlog.get_logger()


async def seal_buyer(
    context: ReservationContext, buyer: Principal, provider: str | None, given: BuyerBody | None
) -> SealedBuyer | None:
    """The buyer's details with the address of the request, sealed under the buyer's key.

    None if the provider has no use for them, the buyer is erased, or identity does not answer: no payment needs them.
    """
    chosen = PROVIDERS.get(provider or "")
    if chosen is None or not chosen.takes_buyer:
        return None
    details = BuyerDetails(**(given.model_dump() if given else {}), ip=_address_of(context.recorder.request))
    words = details.model_dump_json(exclude_none=True)
    try:
        sealed = await context.personal_data.seal(buyer.user_id, Purpose.PAYMENT_BUYER, words)
    except Refused as refused:
        log.warning("buyer_not_sealed", error=refused.problem.detail)
        return None
    return SealedBuyer(user_id=buyer.user_id, sealed=sealed) if sealed else None


def _address_of(request: Request) -> str | None:
    """The public IPv4 address from which the request comes; None for all others, which providers refuse or misread."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return None
    address = getattr(address, "ipv4_mapped", None) or address
    is_public = address.version == 4 and address.is_global and not address.is_multicast
    return str(address) if is_public else None
