"""iyzico's errors: every response has HTTP 200, `status` "failure" and a code.

Codes and groups are those of docs.iyzico.com (Error Codes) and of answers seen in public test suites: 11, 20, 23, 1000,
1001, 5062, 5082, 5087, 8514, 50000 and the banks' 10000s. Where none could be found it is 11, and the message says why.
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refusal.

    Attributes:
        group: iyzico's name of a bank's reason, such as `NOT_SUFFICIENT_FUNDS`.
        about: Further fields of the response, such as the payment's id.
    """

    def __init__(self, code: str, message: str, *, group: str | None = None, **about: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.group = group
        self.about = about

    def body(self) -> dict[str, Any]:
        """The body of the response; the bank's group is there only for refusals by a bank."""
        group = {"errorGroup": self.group} if self.group else {}
        return {"status": "failure", "errorCode": self.code, "errorMessage": self.message} | group | self.about


def invalid(message: str) -> ApiError:
    """A request that iyzico cannot accept; `message` says why."""
    return ApiError("11", f"Invalid request: {message}")


def no_credentials() -> ApiError:
    """The request has no API key, or an unknown one."""
    return ApiError("1001", "API credentials not found")


def wrong_signature() -> ApiError:
    """The signature does not match the request."""
    return ApiError("1000", "Invalid signature")


def not_found() -> ApiError:
    """The merchant has no such payment or form."""
    return ApiError("5087", "No payment record of the merchant was found")


def not_for_postauth(payment_id: str) -> ApiError:
    """The payment has no reserved money to capture."""
    message = "The status of this payment is not suitable for POST_AUTH"
    return ApiError("5082", message, paymentId=payment_id)


def already_started(payment_id: str) -> ApiError:
    """The error for a payment that is already cancelled or fully refunded."""
    return ApiError("8514", "This operation was started before and is in progress", paymentId=payment_id)


def too_many_calls() -> ApiError:
    """The error of the page "Limiters", where the code is a number."""
    return ApiError("50000", "Request Limit Exceeded", errorCode=50000)


def wrong_sum() -> ApiError:
    """The price is not the sum of the basket."""
    return ApiError("5062", "The amount must equal the sum of all basket items")


def by_bank(failure: dict[str, str], payment_id: str) -> ApiError:
    """The bank refused the payment, for the reason in `failure`."""
    return ApiError(failure["code"], failure["message"], group=failure["group"], paymentId=payment_id)
