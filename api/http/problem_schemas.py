"""The JSON Schema of each problem type, with the members that it has besides those of RFC 9457."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain.bookings import BookingStatus
from domain.problems import ProblemType

_T = ProblemType

_ID: Final = {"type": "string", "format": "uuid"}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}

MEMBERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "errors": {
        "type": "array",
        "items": {"$ref": "#/components/schemas/FieldError"},
        "description": "What is wrong with which field, at most 20 of them.",
    },
    "field": {"type": "string", "description": "The field or header that is refused."},
    "seats": _TEXTS | {"description": "The places that the refusal is about."},
    "tickets": _TEXTS | {"description": "The tickets that the refusal is about."},
    "event_id": _ID | {"description": "The event."},
    "booking_id": _ID | {"description": "The booking."},
    "exchange_id": _ID | {"description": "The exchange."},
    "booking_status": {"enum": list(BookingStatus), "type": "string", "description": "The booking's state."},
    "retry_after": {"type": "integer", "description": "Seconds to wait, as in `Retry-After`."},
    "challenge": {"type": "string", "description": "Send it with a code to continue the log-in."},
    "expires_in": {"type": "integer", "description": "Seconds for which the challenge is valid."},
    "link_token": {"type": "string", "description": "Send it to link the provider to your account."},
    "teams": {"type": "array", "items": _ID, "description": "The teams that the refusal is about."},
    "amount": {"type": "integer", "description": "The amount that is refused, in minor units of `currency`."},
    "currency": {"type": "string", "description": "ISO 4217, such as `EUR`."},
    "minimum": {"type": "integer", "description": "The smallest amount of one payment, in minor units."},
    "maximum": {"type": "integer", "description": "The largest amount of one payment, in minor units."},
    "step": {"type": "integer", "description": "Only multiples of it can be paid, in minor units."},
    "until_hours": {
        "type": ["integer", "null"],
        "description": "The event's policy: until how many hours before the start it is allowed; null: never.",
    },
    "code": {"type": "string", "description": "The provider's code for the cause."},
    "error": {"type": "string", "description": "OAuth's code for the cause (RFC 6749, RFC 6750)."},
    "error_description": {"type": "string", "description": "OAuth's words for the cause (RFC 6749)."},
}
"""Every extension member that problems have."""

_OF_OAUTH: Final = ("error", "error_description")
_OF_BOOKING: Final = ("booking_id", "booking_status", "exchange_id")

MEMBERS_OF: Final[Mapping[ProblemType, tuple[str, ...]]] = {
    _T.INVALID_REQUEST: ("errors", "field", *_OF_OAUTH),
    _T.RATE_LIMITED: ("retry_after", *_OF_BOOKING),
    _T.TOO_MANY_HOLDS: ("retry_after",),
    _T.UNAUTHENTICATED: _OF_OAUTH,
    _T.FORBIDDEN: _OF_OAUTH,
    _T.SECOND_FACTOR_REQUIRED: ("challenge", "expires_in"),
    _T.PROOF_NEEDED: ("link_token",),
    _T.WRONG_STATE: (*_OF_BOOKING, "tickets", "teams"),
    _T.EVENT_NOT_ON_SALE: ("event_id", *_OF_BOOKING),
    _T.UNKNOWN_SEATS: ("seats", *_OF_BOOKING),
    _T.SEATS_UNAVAILABLE: ("seats", *_OF_BOOKING),
    _T.IDEMPOTENCY_KEY_REUSED: ("field",),
    _T.UNKNOWN_PROVIDER: ("field",),
    _T.AMOUNT_NOT_PAYABLE: ("field", "amount", "currency", "minimum", "maximum", "step", *_OF_BOOKING),
    _T.PAYMENT_DECLINED: ("code", *_OF_BOOKING),
    _T.PAYMENT_IN_PROGRESS: _OF_BOOKING,
    _T.PAYMENT_TOO_LATE: _OF_BOOKING,
    _T.PAYMENT_REJECTED: ("code", *_OF_BOOKING),
    _T.BOOKING_FAILED: _OF_BOOKING,
    _T.REFUND_REQUIRED: _OF_BOOKING,
    _T.REFUND_NOT_ALLOWED: ("until_hours", *_OF_BOOKING),
    _T.REFUND_IN_PROGRESS: _OF_BOOKING,
    _T.UNKNOWN_TICKETS: ("field", "tickets"),
    _T.EXCHANGE_NOT_ALLOWED: ("until_hours", *_OF_BOOKING),
    _T.EXCHANGE_IN_PROGRESS: _OF_BOOKING,
    _T.EXCHANGE_FAILED: ("code", *_OF_BOOKING),
    _T.OUTCOME_UNKNOWN: ("event_id", *_OF_BOOKING),
}
"""The members of each type; a type that is not here has none. A problem has those that apply to its cause."""

_BASE: Final[Mapping[str, Any]] = {
    "type": {
        "type": "string",
        "description": "The problem's type: switch on its last part.",
        "examples": ["https://seatwright.dev/problems/not-found"],
    },
    "title": {"type": "string", "description": "The type in words; the same for every problem of the type."},
    "status": {"type": "integer", "description": "The status of the answer."},
    "detail": {"type": "string", "description": "What is refused and why, for a person."},
    "instance": {"type": ["string", "null"], "description": "The path of the call."},
    "request_id": {"type": ["string", "null"], "description": "The request's id, for reports."},
}


def name_of(type_: ProblemType) -> str:
    """The schema's name, such as `SeatsUnavailableProblem`."""
    return "".join(part.capitalize() for part in type_.split("-")) + "Problem"


def reference(types: Sequence[ProblemType]) -> dict[str, Any]:
    """The schema of an answer with one of these types, or with one that its call does not list."""
    names = [*map(name_of, types), "Problem"]
    return {"anyOf": [{"$ref": f"#/components/schemas/{name}"} for name in dict.fromkeys(names)]}


def schemas(base: str, titles: Mapping[ProblemType, str]) -> dict[str, Any]:
    """All schemas by their names.

    Args:
        base: What comes before the type's name in `type`.
        titles: Each type's title.
    """
    specific = {name_of(type_): _schema(type_, base, title) for type_, title in titles.items()}
    address = {"title": "ProblemAddress", "type": "string", "enum": [base + type_ for type_ in titles]}
    about = {"description": "The address of a problem's type, which names it."}
    return {"Problem": _GENERAL, "ProblemAddress": address | about, "FieldError": _FIELD_ERROR} | specific


def _schema(type_: ProblemType, base: str, title: str) -> dict[str, Any]:
    kind = {"type": "string", "const": base + type_, "description": "The problem's type."}
    return {
        "title": name_of(type_),
        "type": "object",
        "description": f"{title}.",
        "required": list(_BASE),
        "properties": {**_BASE, "type": kind, **{name: MEMBERS[name] for name in MEMBERS_OF.get(type_, ())}},
    }


_GENERAL: Final = {
    "title": "Problem",
    "type": "object",
    "description": "Problem details (RFC 9457) of any type, with the members that the type has.",
    "required": list(_BASE),
    "properties": {
        **_BASE,
        "type": {"$ref": "#/components/schemas/ProblemAddress", "description": "Switch on its last part."},
        **MEMBERS,
    },
}

_FIELD_ERROR: Final = {
    "title": "FieldError",
    "type": "object",
    "description": "One field that is refused.",
    "required": ["field", "message"],
    "properties": {
        "field": {"type": "string", "description": "Where it is, such as `body.sections.0.price`."},
        "message": {"type": "string", "description": "What is wrong with it."},
    },
}
