"""The ports of a payment provider: the gateway that moves money, and the verifier of the provider's webhooks."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from datetime import date, timedelta
from typing import Protocol
from uuid import UUID

from domain.buyers import UNKNOWN, BuyerDetails
from domain.money import Money
from domain.payments import Intent, ProviderNotification, ProviderRefund
from domain.providers import Provider
from domain.reconciliation import MovementPage

IS_URGENT: ContextVar[bool] = ContextVar("calls are urgent", default=False)
"""Whether a task's calls belong to a payment that was begun: a buyer and seats wait for it.

The call limit lets all other calls wait, also for the beginning of payments.
"""


class Conversation:
    """A step's calls, one after the other.

    Attributes:
        has_begun: One of them has had its turn.
    """

    def __init__(self) -> None:
        """No call has had its turn yet."""
        self.has_begun = False


CONVERSATION: ContextVar[Conversation | None] = ContextVar("the conversation of a task", default=None)
"""The call limit lets one that has begun go before those that have not, so that each that begins also ends."""


class PaymentGateway(Protocol):
    """The way to one payment provider. Every method may raise the errors of `domain.payments`.

    A method that has an effect must not have it twice under the same key; a gateway whose provider has no idempotency
    keys retrieves the payment before each effect. `create` alone may be repeated and then open a second intent.

    Attributes:
        quiet: How long a request for a refund may run after it was sent. Where the provider has no idempotency keys, a
            second one in that time might have an effect of its own. None where the same key is the same refund.
    """

    provider: Provider
    quiet: timedelta | None

    async def close(self) -> None:
        """Close the connections; the gateway cannot be used afterwards."""

    async def keep_turn(self, *, begins: bool = False) -> None:
        """Wait until the call limit allows the next call, which then does not wait.

        Args:
            begins: The call is `create`, which lets the calls of payments that were begun go first, and goes before all
                calls that are not urgent.
        """

    async def create(
        self, booking_id: UUID, amount: Money, *, key: str, return_url: str, buyer: BuyerDetails = UNKNOWN
    ) -> Intent:
        """Open an intent; where buyers pay on the provider's page it is ACTION_REQUIRED at once and never confirmed."""

    async def confirm(self, intent_id: str, payment_method: str, *, return_url: str, key: str) -> Intent:
        """Authorize the whole amount with the buyer's payment method."""

    async def retrieve(self, intent_id: str) -> Intent:
        """Return the intent as it stands now.

        Raises:
            IntentNotFound: The provider has no intent with this id.
        """

    async def capture(self, intent_id: str, *, key: str) -> Intent:
        """Capture the whole amount that is reserved."""

    async def void(self, intent_id: str, *, key: str) -> Intent:
        """Release what is reserved."""

    async def refund(self, intent_id: str, amount: Money, *, key: str) -> Intent:
        """Refund a part or all of what was captured."""

    async def retrieve_refund(self, intent_id: str, *, key: str) -> ProviderRefund | None:
        """Return the refund that was made under this key, as it stands now; None where there is none."""

    async def movements(self, day: date, page: str | None) -> MovementPage:
        """Return what happened to money on that day (UTC), a page at a time; the first page is None."""


class WebhookVerifier(Protocol):
    """Proves that a message comes from the provider."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> list[ProviderNotification]:
        """Return the notifications in a message; a signed one that says nothing we know is `not_understood`.

        Args:
            body: The raw body, byte for byte.
            headers: The request's headers, whose names match in lower case.

        Raises:
            NotificationRefused: The provider did not sign the message.
        """
