"""Why a request was refused, in one vocabulary that workflows, activities and the API share."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class ProblemType(StrEnum):
    """The stable last part of a problem's `type` (RFC 9457); clients may switch on it."""

    INVALID_REQUEST = "invalid-request"
    BODY_TOO_LARGE = "body-too-large"
    HEADERS_TOO_LARGE = "headers-too-large"
    REQUEST_TIMEOUT = "request-timeout"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    RATE_LIMITED = "rate-limited"
    TOO_MANY_HOLDS = "too-many-holds"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not-found"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    SECOND_FACTOR_REQUIRED = "second-factor-required"
    CODE_NOT_VALID = "code-not-valid"
    TOKEN_NOT_VALID = "token-not-valid"
    PROOF_NEEDED = "proof-needed"
    PRECONDITION_FAILED = "precondition-failed"
    WRONG_STATE = "wrong-state"
    EVENT_NOT_ON_SALE = "event-not-on-sale"
    UNKNOWN_SEATS = "unknown-seats"
    SEATS_UNAVAILABLE = "seats-unavailable"
    IDEMPOTENCY_KEY_REUSED = "idempotency-key-reused"
    UNKNOWN_PROVIDER = "unknown-provider"
    AMOUNT_NOT_PAYABLE = "amount-not-payable"
    PAYMENT_DECLINED = "payment-declined"
    PAYMENT_IN_PROGRESS = "payment-in-progress"
    PAYMENT_TOO_LATE = "payment-too-late"
    PAYMENT_REJECTED = "payment-rejected"
    BOOKING_FAILED = "booking-failed"
    INVALID_SIGNATURE = "invalid-signature"
    REFUND_REQUIRED = "refund-required"
    REFUND_NOT_ALLOWED = "refund-not-allowed"
    REFUND_IN_PROGRESS = "refund-in-progress"
    UNKNOWN_TICKETS = "unknown-tickets"
    EXCHANGE_NOT_ALLOWED = "exchange-not-allowed"
    EXCHANGE_IN_PROGRESS = "exchange-in-progress"
    EXCHANGE_FAILED = "exchange-failed"
    OUTCOME_UNKNOWN = "outcome-unknown"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Problem(BaseModel):
    """One refusal.

    Attributes:
        detail: One sentence for the person who reads it.
        members: Extension members (RFC 9457, section 3.2), such as the `seats` that are gone.
    """

    model_config = ConfigDict(frozen=True)

    type: ProblemType
    detail: str
    members: dict[str, Any] = Field(default_factory=dict)


class Refused(Exception):
    """Raised when a request is refused; the API answers with its problem."""

    def __init__(self, type: ProblemType, detail: str, **members: Any) -> None:
        super().__init__(detail)
        self.problem = Problem(type=type, detail=detail, members=members)


def other_list() -> Refused:
    """The answer to a `cursor` that no page of this list has given."""
    return Refused(
        ProblemType.INVALID_REQUEST,
        "query.cursor: is not from this list: send the `next_cursor` of a page, or leave it out.",
        errors=[{"field": "query.cursor", "message": "is not from this list"}],
    )
