"""Builds the API: which services' routers are mounted, and what surrounds them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

from fastapi import APIRouter, Depends, FastAPI

from api import openapi
from api.auth.key_sync import keys_in_sync
from api.auth.tokens import AccessTokens
from api.auth.upkeep import upkeep
from api.catalogue import events as catalogue
from api.edge.answer_time import AnswerTime
from api.edge.body_guard import BodyGuard
from api.edge.cors import Cors
from api.edge.etag import Conditional
from api.edge.head import Head
from api.edge.internal_port import InternalPort
from api.edge.rate_counters import Counters
from api.edge.rate_limits import Limits
from api.edge.request_context import RequestContext
from api.http import problems
from api.http.off_loop import off_loop
from api.http.query_guard import refuse_unknown_parameters
from api.http.resources import Opening, open_audit_log_client, open_personal_data, open_resources, open_temporal
from api.identity import (
    accounts,
    audit_log,
    erasure,
    federated_login,
    grants,
    history,
    mfa,
    people_search,
    personal_data,
    profile,
    recovery,
    revocations,
    sessions,
    teams,
)
from api.identity.context import open_identity
from api.identity.login_throttle import LogInThrottle
from api.identity.mail_requests import MailRequests
from api.identity.oauth import authorize, routes
from api.operations import codec, health
from api.operations.readiness import Readiness
from api.payment import providers, webhooks
from api.payment import support as payment_support
from api.reservation import (
    bookings,
    event_cancellations,
    exchanges,
    inventory,
    payments,
    quotes,
    refunds,
    sales,
    support,
    timeline,
)
from api.reservation.context import open_seats
from api.reservation.early_rejection import EarlyRejectionMiddleware
from api.search import events as search
from api.search.events import open_search
from config.loop_stalls import stalls_watched
from config.needs import needs_of
from config.settings import Settings
from domain import time_zones


class _Part(NamedTuple):
    """What a service contributes: its routes, and what they need to be opened besides its database."""

    routers: tuple[APIRouter, ...]
    openings: tuple[Opening, ...] = ()


PARTS: Mapping[str, _Part] = {
    "identity": _Part(
        (
            accounts.router,
            audit_log.router,
            revocations.router,
            personal_data.router,
            profile.router,
            sessions.router,
            recovery.router,
            mfa.router,
            erasure.router,
            history.router,
            routes.router,
            authorize.router,
            federated_login.router,
            grants.router,
            teams.router,
            teams.own_router,
            people_search.router,
        ),
        (open_identity,),
    ),
    "catalogue": _Part((catalogue.router,), (open_temporal, open_audit_log_client)),
    "reservation": _Part(
        (
            inventory.router,
            bookings.router,
            payments.router,
            timeline.router,
            refunds.router,
            exchanges.router,
            quotes.router,
            event_cancellations.router,
            sales.router,
            support.router,
        ),
        (open_temporal, open_audit_log_client, open_personal_data, open_seats),
    ),
    "payment": _Part(
        (webhooks.router, providers.router, payment_support.router), (open_temporal, open_audit_log_client)
    ),
    "search": _Part((search.router,), (open_search,)),
    "codec": _Part((codec.router,), (open_temporal, open_audit_log_client)),
}


def create_app(settings: Settings, only: Collection[str] | None = None) -> FastAPI:
    """The API of the services named in `only`, or of all.

    Raises:
        ValueError: `only` names a service that has no routes.
    """
    parts = _chosen(only)
    app = FastAPI(
        title="Seatwright",
        version="1",
        lifespan=_lifespan(settings, parts),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,  # `openapi.router` serves it
        dependencies=[Depends(refuse_unknown_parameters)],
        redirect_slashes=False,  # it would send callers to whatever host they name
        telemetry={"tracing": False},  # see `middleware`
        generate_unique_id_function=openapi.operation_id,
    )
    app.state.settings = settings
    app.state.draining = False
    app.state.readiness = Readiness()
    app.state.providers = federated_login.providers(settings)
    app.state.tokens = AccessTokens(settings.api_url)
    if "payment" in parts:
        app.state.webhook_verifiers = webhooks.verifiers(settings)
        app.state.webhook_forgeries = webhooks.forgeries(settings)
    for router in (health.router, openapi.router, *(router for part in parts.values() for router in part.routers)):
        app.include_router(router)
    openapi.describe(app)
    problems.install(app)
    counters = Counters(settings) if settings.rate_limits else None
    app.state.log_in_throttle = LogInThrottle(settings, counters)
    app.state.mail_requests = MailRequests(counters)
    app.add_middleware(AnswerTime, settings=settings)
    _add_limits(app, settings, counters, inside=True)
    if "reservation" in parts:
        app.add_middleware(EarlyRejectionMiddleware)
    app.add_middleware(BodyGuard)
    _add_limits(app, settings, counters, inside=False)
    app.add_middleware(Conditional)
    app.add_middleware(Head)
    app.add_middleware(Cors, **_cors(settings))
    app.add_middleware(InternalPort, port=settings.internal_port)
    app.add_middleware(RequestContext, internal_token=settings.internal_token)
    return app


def _chosen(only: Collection[str] | None) -> Mapping[str, _Part]:
    unknown = set(only or ()) - PARTS.keys()
    if unknown:
        raise ValueError(f"no routes for {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return {name: part for name, part in PARTS.items() if not only or name in only}


def _add_limits(app: FastAPI, settings: Settings, counters: Counters | None, *, inside: bool) -> None:
    if counters:
        app.add_middleware(Limits, settings=settings, counters=counters, inside=inside)


def _cors(settings: Settings) -> dict[str, Any]:
    """Which browser pages may call: those of these origins, and the Temporal UI. There are no cookies."""
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    return {
        "allow_origins": [*origins, settings.temporal_ui_url],
        "allow_methods": ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
        "allow_headers": [
            "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "traceparent",
            "X-Namespace", "X-Request-Id",
        ],
        "expose_headers": [
            "ETag", "Idempotency-Key", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "traceresponse",
            "X-Request-Id",
        ],
    }  # fmt: skip


def _lifespan(settings: Settings, parts: Mapping[str, _Part]) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    databases = sorted(needs_of(settings, "serve", parts).databases)
    openings = list(dict.fromkeys(opening for part in parts.values() for opening in part.openings))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with (
            stalls_watched(),
            open_resources(settings, databases, openings) as app.state.resources,
            keys_in_sync(app.state.tokens, app.state.resources) as app.state.key_sync,
            upkeep(app.state.resources),
        ):
            await off_loop(time_zones.load)  # so that no caller waits for them
            yield

    return lifespan
