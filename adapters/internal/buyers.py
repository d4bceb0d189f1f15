"""Opens what a buyer has given for a provider's fraud checks."""

from __future__ import annotations

import structlog

from adapters.internal.personal_data import PersonalDataClient, Purpose
from domain.buyers import UNKNOWN, BuyerDetails, SealedBuyer
from domain.problems import Refused

log = structlog.get_logger()


async def open_buyer(client: PersonalDataClient, buyer: SealedBuyer) -> BuyerDetails:
    """The details; UNKNOWN where the person is erased or identity does not answer, since a payment needs none."""
    try:
        opened = await client.open(buyer.user_id, Purpose.PAYMENT_BUYER, [buyer.sealed])
    except Refused as refused:
        log.warning("buyer_not_opened", error=refused.problem.detail)
        return UNKNOWN
    return BuyerDetails.model_validate_json(opened[0]) if opened else UNKNOWN
