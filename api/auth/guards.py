"""Access rules: each route declares its callers once, by a dependency from here, and a test reads the whole table."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Collection, Coroutine, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any, Final

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from api.auth.bearer import bearer_token
from api.auth.tokens import AccessTokens, Principal, UnknownKey
from config.settings import secret
from domain.identity import Role, Scope
from domain.problems import ProblemType, Refused

bearer = HTTPBearer(auto_error=False, bearerFormat="JWT", description="The `access_token` of `POST /v1/sessions`.")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]


class Audience(Enum):
    """The kind of caller that a route is for."""

    ANYONE = auto()
    LOGGED_IN = auto()
    OUR_PROCESSES = auto()


@dataclass(frozen=True)
class AccessRule:
    """The rule by which a route admits callers.

    Attributes:
        roles: The caller needs one of them; where there are none, every caller is admitted.
        scopes: A third-party token needs one of them; without any, only tokens of our own log-in are admitted.
    """

    audience: Audience
    roles: frozenset[Role] = frozenset()
    scopes: frozenset[Scope] = frozenset()

    def check(self, caller: Principal) -> None:
        """Raise Refused unless the caller has a required role, and the token a required scope."""
        if not self.covers(caller.scopes):
            required = " ".join(sorted(self.scopes)) or "that of our own log-in"
            raise Refused(
                ProblemType.FORBIDDEN,
                f"The token's scope is too narrow. Required: {required}.",
                error="insufficient_scope",
            )
        if self.roles and self.roles.isdisjoint(caller.roles):
            raise Refused(ProblemType.FORBIDDEN, f"This call requires the role {' or '.join(sorted(self.roles))}.")

    def covers(self, scopes: Collection[Scope]) -> bool:
        """Whether tokens of these scopes may be used."""
        return Scope.FIRST_PARTY in scopes or not self.scopes.isdisjoint(scopes)


Admission = Callable[..., Coroutine[Any, Any, Principal | None]]
_RULES: Final[dict[Admission, AccessRule]] = {}


def admits(*roles: Role, scopes: Collection[Scope] = ()) -> Callable[..., Coroutine[Any, Any, Principal]]:
    """A dependency that admits callers with a valid token, one of these roles and one of these scopes."""
    rule = AccessRule(Audience.LOGGED_IN, frozenset(roles), frozenset(scopes))

    async def admitted(request: Request, credentials: _Credentials) -> Principal:
        caller = await _caller(request, credentials)
        if caller is None:
            raise _unauthenticated("This call requires an access token.")
        rule.check(caller)
        return caller

    _RULES[admitted] = rule
    return admitted


_READS_BOOKINGS = {Scope.BOOKINGS_READ, Scope.BOOKINGS_WRITE}
_READS_EVENTS = {Scope.EVENTS_READ, Scope.EVENTS_WRITE}

Caller = Annotated[Principal, Depends(admits())]
"""A person with a token of our own log-in; third-party applications are not admitted."""

OpenId = Annotated[Principal, Depends(admits(scopes={Scope.OPENID}))]
BookingReader = Annotated[Principal, Depends(admits(scopes=_READS_BOOKINGS))]
Buyer = Annotated[Principal, Depends(admits(scopes={Scope.BOOKINGS_WRITE}))]
EventReader = Annotated[Principal, Depends(admits(scopes=_READS_EVENTS))]
Organizer = Annotated[Principal, Depends(admits(Role.ORGANIZER, scopes={Scope.EVENTS_WRITE}))]
OrganizerOrOperator = Annotated[Principal, Depends(admits(Role.ORGANIZER, Role.OPERATOR, scopes={Scope.EVENTS_WRITE}))]
OrganizerInPerson = Annotated[Principal, Depends(admits(Role.ORGANIZER))]
OrganizerOrOperatorInPerson = Annotated[Principal, Depends(admits(Role.ORGANIZER, Role.OPERATOR))]
Staff = Annotated[Principal, Depends(admits(Role.SUPPORT, Role.OPERATOR))]
Operator = Annotated[Principal, Depends(admits(Role.OPERATOR))]


async def _anyone() -> None:
    """Admit every caller."""


async def _visitor(request: Request, credentials: _Credentials) -> Principal | None:
    """The caller, or None without a token of a fitting scope; an invalid token is refused."""
    caller = await _caller(request, credentials)
    return (
        caller
        if caller and AccessRule(Audience.ANYONE, scopes=frozenset(_READS_EVENTS)).covers(caller.scopes)
        else None
    )


async def _our_process(request: Request, credentials: _Credentials) -> None:
    """Admit our own processes only, which know `SEATWRIGHT_INTERNAL_TOKEN`."""
    expected = secret(request.app.state.settings.internal_token)
    if not (credentials and hmac.compare_digest(credentials.credentials.encode(), expected.encode())):
        raise _unauthenticated("This call is for internal use.")


_RULES[_anyone] = _RULES[_visitor] = AccessRule(Audience.ANYONE)
_RULES[_our_process] = AccessRule(Audience.OUR_PROCESSES)

PUBLIC = Depends(_anyone)
"""Declares that a route is public; it does any further check itself."""

OptionalCaller = Annotated[Principal | None, Depends(_visitor)]
OUR_PROCESSES = Depends(_our_process)


def rules_of(route: APIRoute) -> frozenset[AccessRule]:
    """All rules of a route; a caller has to satisfy each of them."""
    return frozenset(_RULES[call] for call in _calls(route.dependant) if call in _RULES)


def _calls(dependant: Dependant) -> Iterator[Any]:
    for needed in dependant.dependencies:
        yield needed.call
        yield from _calls(needed)


async def _caller(request: Request, credentials: HTTPAuthorizationCredentials | None) -> Principal | None:
    if "authorization" not in request.headers:
        return None
    if credentials is None:
        raise _unauthenticated("The Authorization header must be `Bearer <access token>`.", "invalid_request")
    tokens: AccessTokens = request.app.state.tokens
    try:
        return tokens.read(credentials.credentials)
    except UnknownKey:
        await request.app.state.key_sync.learn()
        if not tokens.ring.published:
            raise ConnectionError("no keys have been read yet") from None
        return tokens.read(credentials.credentials)


def is_still_good(request: Request) -> bool:
    """Whether the token of a long answer is still valid."""
    tokens: AccessTokens = request.app.state.tokens
    try:
        tokens.read(bearer_token(request.headers))
    except Refused:
        return False
    return True


def _unauthenticated(detail: str, error: str | None = None) -> Refused:
    return Refused(ProblemType.UNAUTHENTICATED, detail, **({"error": error} if error else {}))
