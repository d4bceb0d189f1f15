"""What a payment provider can tell us, in words that fit every provider."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict

from domain.bookings import BookingPolicy
from domain.money import Money


class IntentState(StrEnum):
    """Where one payment intent stands at its provider. Only the provider's own answer to a retrieval is the truth."""

    OPEN = "open"  # created; nothing reserved, a payment method may still be given
    ACTION_REQUIRED = "action_required"  # the buyer has to act (3-D Secure)
    PROCESSING = "processing"  # the provider has not decided yet
    AUTHORIZED = "authorized"  # money reserved, not taken
    CAPTURED = "captured"  # money taken
    VOIDED = "voided"  # cancelled; money can no longer be taken through it


class Intent(BaseModel):
    """One payment intent as its provider describes it.

    Attributes:
        id: The provider's id.
        amount: What the booking owes; None where the provider does not tell before it is paid.
        captured: Minor units taken so far.
        refunded: Minor units given back so far.
        action_url: Where the buyer has to go while `state` is ACTION_REQUIRED; a provider may tell it only at first.
        decline_code: Why the last payment method was refused, in the provider's words, if it was.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    state: IntentState
    amount: Money | None = None
    captured: int = 0
    refunded: int = 0
    action_url: str | None = None
    decline_code: str | None = None

    @property
    def kept(self) -> int:
        """Minor units of the buyer's that are reserved, or taken and not given back."""
        reserved = self.amount.amount if self.amount and self.state is IntentState.AUTHORIZED else 0
        return reserved or self.captured - self.refunded


class NewsKind(StrEnum):
    """What a provider's message says of an intent. Never believed: it is only a reason to ask."""

    RESERVED = "reserved"
    TAKEN = "taken"
    DECLINED = "declined"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"  # perhaps one that had succeeded
    OTHER = "other"


class ProviderNews(BaseModel):
    """A message from a payment provider, whose signature has been verified.

    Attributes:
        event_id: The provider's id of the message, the same each time that it is sent.
        type: The provider's own name for what happened.
        intent_id: The intent that it is about, if it names one.
        booking_id: The booking that it is about, where it names that instead.
        signed_at: When it was signed (UTC), where the signature says so.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    event_id: str
    kind: NewsKind
    type: str
    intent_id: str | None = None
    booking_id: UUID | None = None
    signed_at: AwareDatetime | None = None


class LatePayment(BaseModel):
    """What starts the workflow that looks after money which turned up, or may, when nobody waited for it any more.

    Attributes:
        exchange_id: The exchange that it was for, which ends first; None also before there was the field.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    intent_id: str
    booking_id: UUID
    exchange_id: UUID | None = None
    policy: BookingPolicy = BookingPolicy()


class NewsRefused(Exception):
    """A message that the provider has not signed, or that cannot be read."""


class GivingBackState(StrEnum):
    """Where a refund stands at its provider."""

    PENDING = "pending"  # the provider may still fail to give the money back
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the money is with us again; only a new refund can give it back


class GivingBack(BaseModel):
    """One refund as its provider describes it.

    Attributes:
        code: The provider's own reason for a failure.
    """

    model_config = ConfigDict(frozen=True)

    state: GivingBackState
    code: str | None = None


class PaymentError(Exception):
    """Base of what a gateway raises."""


class PaymentDeclined(PaymentError):
    """The provider refused the payment method; no money is reserved.

    Attributes:
        code: The provider's own decline code, such as `insufficient_funds`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PaymentUnknown(PaymentError):
    """The call may or may not have had its effect (timeout, lost connection, 5xx, 429): look it up first.

    Attributes:
        replayed: The provider answered from its idempotency store, so the same key can only bring this answer again.
        retry_after: Seconds that the provider asked us to wait, if it did.
    """

    def __init__(self, message: str, *, replayed: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.replayed = replayed
        self.retry_after = retry_after


class PaymentRejected(PaymentError):
    """The provider says that our request is wrong (bad key, bad parameter, wrong state): repeating it cannot help.

    Attributes:
        code: The provider's own error code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
