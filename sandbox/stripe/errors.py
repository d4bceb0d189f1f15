"""Stripe's errors: status, type, code and text, from docs.stripe.com/error-codes."""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """An error response.

    Attributes:
        extra: Further fields of the error object, such as `decline_code` or `payment_intent`.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.code = code
        self.param = param
        self.extra = extra or {}
        self.headers = headers or {}

    def body(self, request_id: str) -> dict[str, Any]:
        """The body of the response; `request_id` is in its link to Stripe's log of the request."""
        fields: dict[str, Any] = {"message": self.message, "type": self.type, "request_log_url": f"/{request_id}"}
        if self.code:
            fields |= {"code": self.code, "doc_url": f"https://stripe.com/docs/error-codes/{self.code}"}
        if self.param:
            fields["param"] = self.param
        return {"error": fields | self.extra}


def no_key_given() -> ApiError:
    """The request has no API key."""
    return ApiError(
        "You did not provide an API key. You need to provide your API key in the Authorization header, using Bearer "
        "auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
        status=401,
    )


def invalid_key(key: str) -> ApiError:
    """The API key is unknown; the message shows only its beginning and its end."""
    return ApiError(f"Invalid API Key provided: {key[:8]}{'*' * 12}{key[-4:]}", status=401)


def missing(kind: str, object_id: str, param: str, status: int = 404) -> ApiError:
    """There is no such object; `param` is the parameter that names it."""
    return ApiError(f"No such {kind}: '{object_id}'", status=status, code="resource_missing", param=param)


def unrecognized_url(method: str, path: str) -> ApiError:
    """No call has this method and path."""
    return ApiError(
        f"Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing slash. "
        "If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in your code.",
        status=404,
    )


def rate_limited(retry_after: int | None) -> ApiError:
    """Too many calls; `retry_after` in seconds, None for no `Retry-After` header."""
    return ApiError(
        "Request rate limit exceeded. Learn more about rate limits here https://stripe.com/docs/rate-limits.",
        status=429,
        code="rate_limit",
        headers={"Retry-After": str(retry_after)} if retry_after is not None else {},
    )


def server_error() -> ApiError:
    """Stripe failed; the effect is not known to the caller."""
    return ApiError("An unknown error occurred", status=500, type="api_error")


def key_in_use(key: str) -> ApiError:
    """Another call with the same idempotency key has not ended."""
    return ApiError(
        "There is currently another in-progress request using this Idempotent Key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        status=409,
        type="idempotency_error",
        code="idempotency_key_in_use",
    )


def key_mismatch(key: str, path: str, first_path: str) -> ApiError:
    """The idempotency key was used before for another request."""
    same = (
        "with the same parameters they were first used with"
        if path == first_path
        else f"for the same endpoint they were first used for ('{path}' vs '{first_path}')"
    )
    return ApiError(
        f"Keys for idempotent requests can only be used {same}. Try using a key other than '{key}' if you meant to "
        "execute a different request.",
        type="idempotency_error",
    )


def unexpected_state(message: str, payment_intent: dict[str, Any]) -> ApiError:
    """The intent's state does not allow the operation; the error has the intent."""
    return ApiError(message, code="payment_intent_unexpected_state", extra={"payment_intent": payment_intent})


def declined(failure: dict[str, str], extra: dict[str, Any]) -> ApiError:
    """The issuer refused the card, for the reason in `failure`."""
    reason = {"decline_code": failure["decline_code"]} if "decline_code" in failure else {}
    code, message = failure["code"], failure["message"]
    return ApiError(message, status=402, type="card_error", code=code, extra=reason | extra)
