"""Refuses holds of taken seats before the framework parses the request: in a rush nearly all requests are such.

All doubtful requests go through to the route, which decides in the same way.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from fastapi import Request
from pydantic import ValidationError
from redis.exceptions import RedisError
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.redis.seat_locks import Places
from api.edge.body_guard import body_of
from api.edge.caller import caller_of
from api.http.idempotency import KEY_PATTERN, booking_id_for
from api.http.problems import respond
from api.reservation.context import Seats
from api.reservation.schemas import BookingBody
from config.settings import secret
from domain.bookings import seats_unavailable
from domain.problems import Problem

_PATH: Final = "/v1/bookings"


class _Route(NamedTuple):
    path: str


class EarlyRejectionMiddleware:
    """Runs inside `BodyGuard`, which has read the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request; a hold that is certain to fail gets its refusal here."""
        if scope["type"] == "http" and scope["path"] == _PATH and scope["method"] == "POST":
            problem = await self._refusal(scope)
            if problem:
                scope["route"] = _Route(_PATH)  # for the access log
                await respond(problem, Request(scope))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope) -> Problem | None:
        headers, state = Headers(scope=scope), scope["app"].state
        caller, key = caller_of(scope), headers.get("idempotency-key", "")
        if caller is None or headers.get("content-type") != "application/json" or not KEY_PATTERN.fullmatch(key):
            return None
        try:
            body = BookingBody.model_validate_json(body_of(scope))
            booking_id = booking_id_for(caller.user_id, key, secret(state.settings.booking_id_secret))
            asked = Places(body.event_id, booking_id, body.seats, body.quantities)
            taken = await state.resources.part(Seats).availability.taken(asked)
        except (ValidationError, RedisError, OSError):
            return None
        return seats_unavailable(taken).problem if taken else None
