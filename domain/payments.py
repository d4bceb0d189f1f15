"""The states and answers of payment providers, in terms that fit every provider."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict

from domain.bookings import BookingPolicy
from domain.money import Money


class IntentState(StrEnum):
    """The state of a payment intent at its provider. Only the provider's answer to a retrieval is the truth."""

    OPEN = "open"  # created; nothing is authorized, and a payment method may still be given
    ACTION_REQUIRED = "action_required"  # the buyer has to act (3-D Secure)
    PROCESSING = "processing"  # the provider has not decided yet
    AUTHORIZED = "authorized"  # money is authorized, not captured
    CAPTURED = "captured"  # money is captured
    VOIDED = "voided"  # cancelled; it can no longer capture money


class Intent(BaseModel):
    """One payment intent as its provider describes it.

    Attributes:
        id: The provider's id.
        amount: The amount to pay; None if the provider does not report it before the payment.
        captured: Minor units captured so far.
        refunded: Minor units refunded so far.
        action_url: The page that the buyer has to visit in ACTION_REQUIRED; a provider may report it only once.
        decline_code: The provider's reason if it declined the last payment method.
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
        """Minor units of the buyer that are authorized, or captured and not refunded."""
        reserved = self.amount.amount if self.amount and self.state is IntentState.AUTHORIZED else 0
        return reserved or self.captured - self.refunded


class NotificationKind(StrEnum):
    """What a provider's message says about an intent. It is only a reason to ask the provider, never a fact."""

    RESERVED = "reserved"
    TAKEN = "taken"
    DECLINED = "declined"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"  # perhaps one that had succeeded
    OTHER = "other"


_LONGEST_NAME = 255  # bytes; Postgres cannot index long texts, and stores none with U+0000


def _is_storable(text: str) -> bool:
    return "\0" not in text and len(text.encode()) <= _LONGEST_NAME


def _digest(content: bytes) -> str:
    return f"sha256:{sha256(content).hexdigest()}"


def _storable_id(text: str) -> str:
    return text if _is_storable(text) else _digest(text.encode())


def _storable_name(text: str) -> str:
    return text.replace("\0", "\ufffd").encode()[:_LONGEST_NAME].decode(errors="ignore")


def _possible_intent(text: str | None) -> str | None:
    return text if text is not None and _is_storable(text) else None


class ProviderNotification(BaseModel):
    """A message from a payment provider, whose signature has been verified.

    Every signed text can be stored: an id that is too long or has U+0000 in it becomes its digest, and such an id of
    an intent is none of our own.

    Attributes:
        event_id: The provider's id of the message, the same for every delivery.
        type: The provider's own name of the event.
        intent_id: The intent of the message, if it names one.
        booking_id: The booking of the message, if it names that instead.
        signed_at: When it was signed (UTC), if the signature says so.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    event_id: Annotated[str, AfterValidator(_storable_id)]
    kind: NotificationKind
    type: Annotated[str, AfterValidator(_storable_name)]
    intent_id: Annotated[str | None, AfterValidator(_possible_intent)] = None
    booking_id: UUID | None = None
    signed_at: AwareDatetime | None = None

    @classmethod
    def not_understood(cls, provider: str, body: bytes, signed_at: AwareDatetime | None = None) -> Self:
        """A signed message that is stored and otherwise left alone: the provider would repeat a refused one."""
        kind = NotificationKind.OTHER
        return cls(provider=provider, event_id=_digest(body), kind=kind, type="not understood", signed_at=signed_at)


class LatePayment(BaseModel):
    """What starts the workflow for a payment that arrived, or may arrive, after its booking had ended.

    Attributes:
        exchange_id: The exchange that the payment was for; the exchange ends first. None for a booking.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    intent_id: str
    booking_id: UUID
    exchange_id: UUID | None = None
    policy: BookingPolicy = BookingPolicy()


class NotificationRefused(Exception):
    """A message without the provider's signature, or with one of another time."""


class ProviderRefundState(StrEnum):
    """The state of a refund at its provider."""

    PENDING = "pending"  # the provider may still fail to pay it
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # the money is owed again; only a new refund can pay it


class ProviderRefund(BaseModel):
    """One refund as its provider describes it.

    Attributes:
        code: The provider's own reason for a failure.
        amount: What goes back; None for the sum of several parts.
        message: The provider's own words about it, if it gave any.
        provider: Who decided, in the answer of a step.
    """

    model_config = ConfigDict(frozen=True)

    state: ProviderRefundState
    code: str | None = None
    amount: Money | None = None
    message: str | None = None
    provider: str | None = None


class RefundByProvider(BaseModel):
    """A refund that a provider made without our request, for example from its dashboard.

    Attributes:
        amount: Minor units of the booking's currency.
    """

    model_config = ConfigDict(frozen=True)

    refund_id: UUID
    amount: int


class GivenRefund(BaseModel):
    """How one of our refunds stands, with all its parts.

    Attributes:
        state: The worst of its parts; `code`, `message` and `provider` are of that part.
        amount: Minor units that our requests give back; less than was asked for where the provider had given back a
            part without our request. None in histories from before this was known.
        by_provider: Everything of the booking that the provider gave back without our request.
    """

    model_config = ConfigDict(frozen=True)

    state: ProviderRefundState
    code: str | None = None
    message: str | None = None
    provider: str | None = None
    amount: int | None = None
    by_provider: tuple[RefundByProvider, ...] = ()


class PaymentError(Exception):
    """Base of the errors of a gateway."""


class PaymentDeclined(PaymentError):
    """The provider declined the payment method; no money is authorized.

    Attributes:
        code: The provider's own decline code, such as `insufficient_funds`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class PaymentUnknown(PaymentError):
    """The call may or may not have had its effect (timeout, lost connection, 5xx, 429). Retrieve the intent first.

    Attributes:
        replayed: The provider answered from its idempotency store, so the same key can only get this answer again.
        retry_after: Seconds that the provider asked us to wait, if it did.
    """

    def __init__(self, message: str, *, replayed: bool = False, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.replayed = replayed
        self.retry_after = retry_after


class PaymentRejected(PaymentError):
    """The provider refuses the request itself (bad key, bad parameter, wrong state). A retry cannot help.

    Attributes:
        code: The provider's own error code.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AmountRejected(PaymentRejected):
    """The provider does not take this amount, or this currency."""


class IntentNotFound(PaymentRejected):
    """The provider has no intent with the id that was asked for."""
