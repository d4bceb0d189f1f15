"""Points of sale and their access tokens (OAuth client credentials)."""

from __future__ import annotations

import hmac
import time
from dataclasses import dataclass
from uuid import uuid4

from sandbox.payu.errors import Json, unauthorized

TOKEN_SECONDS = 43199
"""Seconds that an access token is valid (PayU's API reference, Create OAuth Token)."""


@dataclass(frozen=True)
class Point:
    """A point of sale; its id is also its OAuth client.

    Attributes:
        second_key: The key that signs notifications.
        auto_receive: Payments are captured at once; otherwise they wait for the merchant's confirmation.
    """

    id: str
    client_secret: str
    second_key: str
    auto_receive: bool


POINTS = {
    point.id: point
    for point in (
        Point("300746", "sandbox-client-secret", "sandbox-second-key", auto_receive=False),
        Point("300747", "another-client-secret", "another-second-key", auto_receive=True),
    )
}


class OauthError(Exception):
    """A refused token request, with OAuth's error code."""

    def __init__(self, status: int, error: str, description: str) -> None:
        super().__init__(description)
        self.status = status
        self.body: Json = {"error": error, "error_description": description}


class Tokens:
    """The valid tokens. They are in memory: a restart ends them, which PayU may do as well."""

    def __init__(self) -> None:
        self._tokens: dict[str, tuple[Point, float]] = {}

    def issue(self, form: dict[str, str]) -> Json:
        """Raises: OauthError: Another grant, or unknown credentials."""
        if form.get("grant_type") != "client_credentials":
            raise OauthError(400, "unsupported_grant_type", f"Unsupported grant type: {form.get('grant_type')}")
        point = POINTS.get(form.get("client_id", ""))
        if point is None or not hmac.compare_digest(point.client_secret, form.get("client_secret", "")):
            raise OauthError(401, "invalid_client", "Bad client credentials")
        token = str(uuid4())
        self._tokens[token] = (point, time.time() + TOKEN_SECONDS)
        return {
            "access_token": token,
            "token_type": "bearer",
            "expires_in": TOKEN_SECONDS,
            "grant_type": "client_credentials",
        }

    def point(self, header: str) -> Point:
        """The point of sale of a call.

        Raises:
            ApiError: 401: no token, an unknown one, or one whose time is over.
        """
        scheme, _, token = header.partition(" ")
        point, until = self._tokens.get(token, (None, 0.0))
        if scheme != "Bearer" or point is None or until <= time.time():
            raise unauthorized()
        return point

    def revoke(self) -> int:
        """End all tokens; returns how many."""
        ended = len(self._tokens)
        self._tokens.clear()
        return ended
