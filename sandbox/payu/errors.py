"""PayU's errors: HTTP status, status code, number and literal, from its API reference and its support."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class ApiError(Exception):
    """An error response.

    Attributes:
        code: PayU's `statusCode`.
        literal: `codeLiteral` and the number that belongs to it, where there is one.
        extra: Further fields beside `status`.
    """

    def __init__(
        self,
        code: str,
        description: str,
        *,
        status: int = 400,
        literal: tuple[str, str] | None = None,
        extra: Json | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status
        self.literal = literal
        self.extra = extra or {}
        self.headers = headers or {}

    def body(self) -> Json:
        """The body of the response, with PayU's `status` object."""
        result = {"statusCode": self.code, "severity": "ERROR", "statusDesc": self.description}
        if self.literal:
            result |= {"codeLiteral": self.literal[0], "code": self.literal[1]}
        return {"status": result} | self.extra


def unauthorized() -> ApiError:
    """The access token is missing, unknown or expired."""
    return ApiError("UNAUTHORIZED", "Incorrect authentication", status=401)


def foreign_point() -> ApiError:
    """The access token belongs to another point of sale."""
    return ApiError(
        "ERROR_VALUE_INVALID",
        "merchantPosId is not the point of sale of the access token",
        status=403,
        literal=("INVALID_AUTH_FOR_THIS_ORDER", "403"),
    )


def not_found() -> ApiError:
    """There is no such order or refund."""
    return ApiError("DATA_NOT_FOUND", "Could not find data for given criteria", status=404)


def invalid(field: str, why: str) -> ApiError:
    """A field has a value that is not allowed; `why` says what is expected."""
    return ApiError("ERROR_VALUE_INVALID", f"{field}: {why}")


def missing(field: str) -> ApiError:
    """A required field is not there."""
    return ApiError("ERROR_VALUE_MISSING", f"Missing required field: {field}")


def syntax() -> ApiError:
    """The body cannot be read at all."""
    return ApiError("ERROR_SYNTAX", "The body is not a JSON object")


def not_unique(order_id: str, ext_order_id: str) -> ApiError:
    """As reported by merchants (github.com/PayU-EMEA/openpayu_php/issues/28): the first order is named."""
    return ApiError(
        "ERROR_ORDER_NOT_UNIQUE",
        "Order with given extOrderId already exists",
        literal=("ORDER_NOT_UNIQUE", "110"),
        extra={"orderId": order_id, "extOrderId": ext_order_id},
    )


def wrong_status(operation: str, status: str) -> ApiError:
    """The order's status does not allow the operation."""
    return ApiError("ERROR_VALUE_INVALID", f"{operation} is not possible for an order in status {status}")


def refused(operation: str) -> ApiError:
    """The acquirer refused the operation, although the order's status allows it."""
    return ApiError("BUSINESS_ERROR", f"{operation} was refused by the acquirer")


def rate_limited(retry_after: int | None) -> ApiError:
    """Too many calls; `retry_after` in seconds, None for no `Retry-After` header."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else {}
    return ApiError("TOO_MANY_REQUESTS", "Too many requests", status=429, headers=headers)


def server_error() -> ApiError:
    """PayU failed; the effect is not known to the caller."""
    return ApiError("GENERAL_ERROR", "Unexpected error. Try again later.", status=500)


def refund_error(literal: str) -> ApiError:
    """A refused refund, with PayU's name for the reason."""
    code, number, description = REFUND_ERRORS[literal]
    return ApiError(code, description, literal=(literal, number))


BUSINESS, INVALID = "OPENPAYU_BUSINESS_ERROR", "OPENPAYU_ERROR_VALUE_INVALID"
REFUND_ERRORS = {
    "TRANS_NOT_ENDED": (BUSINESS, "9101", "Transaction has not been finalized"),
    "AMOUNT_TO_BIG": (INVALID, "9103", "Amount is too big"),
    "AMOUNT_TO_SMALL": (INVALID, "9104", "Amount is too small"),
    "PAID": (INVALID, "9108", "Refund has already been paid"),
    "REFUND_IDEMPOTENCY_MISMATCH": (BUSINESS, "9112", "extRefundId was used with other parameters"),
}
