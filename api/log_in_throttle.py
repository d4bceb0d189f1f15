"""Slows down who guesses passwords, without shutting the owner out of the account.

Failures count for the account from this address, and for the account from all addresses that it never logged in from.
So who guesses from many addresses meets the second limit, and the owner at home meets neither. What is counted is a
keyed hash of the e-mail address, and counted alike where there is no such account. Every door at which a password is
asked for counts together.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl

import orjson
from fastapi import Request
from limits import parse
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.counters import Counters
from api.limits import address_of
from api.middleware import body_of
from api.problems import UNAVAILABLE, respond
from config.settings import Settings, secret
from domain.problems import Problem, ProblemType

_DOORS: Final = {("POST", "/v1/sessions"), ("POST", "/v1/oauth/authorize")}
_TRY: Final = "seatwright.log-in"
_HOME: Final = int(timedelta(days=90).total_seconds())


@dataclass
class _Try:
    """What becomes of one try; a right password may still be answered 401, for the second factor's code."""

    was_right: bool = False


def password_was_right(request: Request) -> None:
    """Tell the throttle, if it counts this try."""
    tried: _Try | None = request.scope.get(_TRY)
    if tried is not None:
        tried.was_right = True


class LogInThrottle:
    """Stands inside `BodyGuard`. A guess counts before it is tried, so that many at once gain nothing."""

    def __init__(self, app: ASGIApp, settings: Settings, counters: Counters) -> None:
        self._app = app
        self._counters = counters
        self._key = b"log-in throttle " + secret(settings.booking_id_secret).encode()
        self._from_one_address = parse(settings.rate_limits["log-in-failures"])
        self._from_anywhere = parse(settings.rate_limits["log-in-failures-of-account"])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_log_in = scope["type"] == "http" and (scope["method"], scope["path"]) in _DOORS
        account = self._account(body_of(scope)) if is_log_in else None
        if account is None:
            await self._app(scope, receive, send)
            return
        address, status = address_of(scope), 0
        scope[_TRY] = tried = _Try()

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
            await send(message)

        try:
            is_home, wait = await self._try(account, address)
        except (RedisError, OSError):
            await respond(UNAVAILABLE, Request(scope))(scope, receive, send)
            return
        if wait:
            await respond(_too_often(wait), Request(scope))(scope, receive, send)
            return
        await self._app(scope, receive, watched)
        if tried.was_right or status not in (401, 429):
            await self._give_back(account, address, is_home=is_home, was_right=tried.was_right)

    async def _try(self, account: str, address: str) -> tuple[bool, int]:
        """Whether the account is at home at the address, and how many seconds it has to wait for its next try."""
        is_home = await self._counters.is_marked("home", account, address)
        here = await self._counters.spend(self._from_one_address, "failures", account, address)
        if here.left < 0 or is_home:
            return is_home, here.resets_in if here.left < 0 else 0
        anywhere = await self._counters.spend(self._from_anywhere, "failures", account)
        return is_home, anywhere.resets_in if anywhere.left < 0 else 0

    async def _give_back(self, account: str, address: str, *, is_home: bool, was_right: bool) -> None:
        try:
            await self._counters.spend(self._from_one_address, "failures", account, address, amount=-1)
            if not is_home:
                await self._counters.spend(self._from_anywhere, "failures", account, amount=-1)
            if was_right:
                await self._counters.mark(_HOME, "home", account, address)
        except (RedisError, OSError):
            return  # it counts as a failure for some minutes

    def _account(self, body: bytes) -> str | None:
        try:
            given = orjson.loads(body)
        except ValueError:
            given = dict(parse_qsl(body.decode("utf-8", "replace")))
        email = given.get("email") if isinstance(given, dict) else None
        if not isinstance(email, str):
            return None
        return hmac.new(self._key, email.strip().lower().encode("utf-8", "replace"), "sha256").hexdigest()


def _too_often(wait: int) -> Problem:
    detail = "Too many tries to log in have failed; wait, or log in from where you have logged in before."
    return Problem(type=ProblemType.RATE_LIMITED, detail=detail, members={"retry_after": wait})
