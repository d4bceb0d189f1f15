"""How often a caller may call: by class of route, and by user, or by address without a log-in.

Every answer says by `RateLimit` and `RateLimit-Policy` what is left; beyond it is 429 with `Retry-After`. Where Redis
cannot be reached calls go through, except those that could guess passwords or make accounts in bulk.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal, get_args

import structlog
from fastapi import Request, Response
from limits import RateLimitItem, parse
from redis.exceptions import RedisError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.edge.bounds import is_counted
from api.edge.caller import caller_of
from api.edge.rate_counters import Allowance, Counters, LocalCounter
from api.http.problems import UNAVAILABLE, respond
from config.settings import Settings
from domain.problems import Problem, ProblemType

Class = Literal["log-in", "token", "register", "book", "pay", "seats", "export", "publish", "read", "write"]

_BOOK: Final = "book"
_REGISTER: Final = "register"
_SURGE: Final = 10
"""So many times as many holds as the limit says are too many for a process, also where the seats are taken."""

_BY_CALL: Final[Mapping[tuple[str, str], Class]] = {
    ("POST", "/v1/sessions"): "log-in",
    ("POST", "/v1/sessions/second-factor"): "log-in",
    ("POST", "/v1/oauth/authorize"): "log-in",
    # Many people share an address, and 256 bits cannot be guessed: so that people stay logged in.
    ("POST", "/v1/oauth/token"): "token",
    ("POST", "/v1/oauth/introspect"): "token",
    ("POST", "/v1/oauth/revoke"): "token",
    ("POST", "/v1/users"): _REGISTER,
    ("POST", "/v1/bookings"): _BOOK,
    ("GET", "/v1/me/export"): "export",
    ("HEAD", "/v1/me/export"): "export",
}
_PAYING: Final = ("/payment", "/refund", "/exchange")
_PUBLISHING: Final = re.compile(r"/v1/events/[^/]*/publish")
_SEATS: Final = re.compile(r"/v1/events/[^/]*/seats")
_OF_THE_ADDRESS: Final = {"log-in", _REGISTER}
_SITE: Final = 10
"""So many networks of 64 bits may use all their registrations in one of 48 bits, which anyone gets from a tunnel."""

_NEVER_OPEN: Final = {"log-in", _REGISTER}
_INTERNAL: Final = "/internal/"


class Limits:
    """Counts calls of some classes, and refuses those beyond their limit before their bodies are read.

    Holds of users are the exception: they are counted inside the early rejection, since refusing a taken seat costs
    less than counting the call. Outside it only a surge of them is refused, which each process counts by itself.

    Args:
        inside: Whether this one runs inside the early rejection.
    """

    def __init__(self, app: ASGIApp, settings: Settings, counters: Counters, *, inside: bool) -> None:
        self._app = app
        self._limits: dict[Class, RateLimitItem] = {name: parse(settings.rate_limits[name]) for name in get_args(Class)}
        self._counters = counters
        self._is_inside = inside
        self._registrations_of_site = _times(_SITE, self._limits[_REGISTER])
        holds = self._limits[_BOOK]
        self._surges = LocalCounter(_SURGE * holds.amount, holds.get_expiry())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request that is within its limit. Requests without a class are not counted."""
        kind = _class_of(scope) if scope["type"] == "http" else None
        is_users_hold = kind == _BOOK and caller_of(scope) is not None
        if kind is None or is_users_hold is not self._is_inside:
            refused = self._too_many(scope) if is_users_hold else None
            await (refused or self._app)(scope, receive, send)
            return
        try:
            allowance = await self._spend(scope, kind)
        except (RedisError, OSError) as error:
            structlog.get_logger().warning("limits are not counted", error=type(error).__name__)
            answer = respond(UNAVAILABLE, Request(scope)) if kind in _NEVER_OPEN else self._app
            await answer(scope, receive, send)
            return
        limited = _with_headers(send, kind, allowance)
        if allowance.left < 0:
            await respond(_exceeded(allowance), Request(scope))(scope, receive, limited)
        else:
            await self._app(scope, receive, limited)

    async def _spend(self, scope: Scope, kind: Class) -> Allowance:
        allowance = await self._counters.spend(self._limits[kind], kind, _subject(scope, kind))
        site = site_of(scope) if kind == _REGISTER else None
        if site is None or allowance.left < 0:
            return allowance
        of_site = await self._counters.spend(self._registrations_of_site, kind, site)
        return of_site if of_site.left < 0 else allowance

    def _too_many(self, scope: Scope) -> Response | None:
        """The answer to a user who tries to hold more often than anyone who only wants tickets."""
        allowance = self._surges.spend(_subject(scope, _BOOK))
        return respond(_exceeded(allowance), Request(scope)) if allowance.left < 0 else None


def address_of(scope: Scope) -> str:
    """The caller's address; of IPv6 the network of 64 bits, since that is what most customers have."""
    address = _address(scope)
    return str(address) if not isinstance(address, ipaddress.IPv6Address) else _network(address, 64)


def site_of(scope: Scope) -> str | None:
    """The network of 48 bits of a caller by IPv6, since one customer may have all of it; None of any other caller."""
    address = _address(scope)
    return _network(address, 48) if isinstance(address, ipaddress.IPv6Address) else None


def _address(scope: Scope) -> ipaddress.IPv4Address | ipaddress.IPv6Address | str:
    host = (scope.get("client") or ("unknown", 0))[0]
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return str(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped  # as a socket for both versions shows a caller of IPv4
    return address


def _network(address: ipaddress.IPv6Address, bits: int) -> str:
    return str(ipaddress.ip_network((address, bits), strict=False))


def _times(factor: int, limit: RateLimitItem) -> RateLimitItem:
    return type(limit)(factor * limit.amount, limit.multiples)


def _class_of(scope: Scope) -> Class | None:
    method, path = scope["method"], scope["path"]
    if path.startswith(_INTERNAL) or not is_counted(scope):
        return None
    known = _BY_CALL.get((method, path))
    if known:
        return known
    if method in ("GET", "HEAD"):
        return "seats" if _SEATS.fullmatch(path) else "read"
    if method != "POST":
        return "write"
    if path.endswith(_PAYING):
        return "pay"
    return "publish" if _PUBLISHING.fullmatch(path) else "write"


def _subject(scope: Scope, kind: Class) -> str:
    caller = None if kind in _OF_THE_ADDRESS else caller_of(scope)
    return str(caller.user_id) if caller else address_of(scope)


def _exceeded(allowance: Allowance) -> Problem:
    detail = f"Only {allowance.quota} such calls in {allowance.window} seconds are allowed. Wait, then try again."
    return Problem(type=ProblemType.RATE_LIMITED, detail=detail, members={"retry_after": allowance.resets_in})


def _with_headers(send: Send, kind: Class, allowance: Allowance) -> Send:
    policy = f'"{kind}";q={allowance.quota};w={allowance.window}'
    left = f'"{kind}";r={max(0, allowance.left)};t={allowance.resets_in}'

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            added = [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]
            message = {**message, "headers": [*message["headers"], *added]}
        await send(message)

    return sending
