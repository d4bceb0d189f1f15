"""The sandbox's Stripe API: what Stripe documents about payment intents, refunds, errors and idempotency."""

from __future__ import annotations

from sandbox.provider_api import EndpointDefaults, Registration
from sandbox.stripe.api import StripeApi
from sandbox.stripe.messages import WANTED

API = Registration(
    name="stripe",
    build=StripeApi,
    endpoint=EndpointDefaults(types=WANTED, variable="SEATWRIGHT_STRIPE_WEBHOOK_SECRETS", secrets="whsec_seatwright"),
)
