"""The task queues: one for each service, so that each can run on machines of its own, and one for refunds."""

from typing import Final

CATALOGUE: Final = "catalogue"
RESERVATION: Final = "reservation"
PAYMENT: Final = "payment"

REFUNDS: Final = "payment-refunds"
"""Steps of the payment service's workers that come in hundreds when an event is cancelled, and that no seat waits for.

They have slots of their own. Where the provider's calls are limited they wait for it, and other steps need not.
"""
