"""Object-level authorization: every route that names an object, tried by every kind of caller."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from config.settings import Settings
from tests.api.conftest import Join
from tests.api.partners import register
from tests.api.people import Person, log_in, problem
from tests.http_client import patient_client
from tests.security.permissions import Route, application, routes

EVERYONE = {"anonymous", "another", "another organizer", "support", "operator", "owner"}
ALLOWED: dict[str, set[str]] = {
    "GET /v1/bookings/{booking_id}": {"owner", "support", "operator"},
    "DELETE /v1/bookings/{booking_id}": {"owner"},
    "POST /v1/bookings/{booking_id}/payment": {"owner"},
    "DELETE /v1/bookings/{booking_id}/payment": {"owner"},
    "GET /v1/bookings/{booking_id}/payment/return": EVERYONE,  # it only says "thank you"
    "POST /v1/bookings/{booking_id}/payment/return": EVERYONE,
    "POST /v1/bookings/{booking_id}/refund": {"owner", "support", "operator"},
    "POST /v1/bookings/{booking_id}/refund/quote": {"owner", "support", "operator"},
    "GET /v1/bookings/{booking_id}/refunds": {"owner", "support", "operator"},
    "GET /v1/bookings/{booking_id}/stream": {"owner", "support", "operator"},
    "GET /v1/bookings/{booking_id}/timeline": {"support", "operator"},
    "POST /v1/bookings/{booking_id}/exchange": {"owner"},
    "POST /v1/bookings/{booking_id}/exchange/quote": {"owner", "support", "operator"},
    "GET /v1/bookings/{booking_id}/exchanges": {"owner", "support", "operator"},
    "GET /v1/bookings/{booking_id}/exchanges/{exchange_id}": set(),  # there is none
    "DELETE /v1/bookings/{booking_id}/exchanges/{exchange_id}": set(),
    "GET /v1/bookings/{booking_id}/exchanges/{exchange_id}/return": set(),
    "POST /v1/bookings/{booking_id}/exchanges/{exchange_id}/return": set(),
    "GET /v1/events/{event_id}": {"owner", "support", "operator"},  # a draft
    "GET /v1/events/{event_id}/seats": set(),  # a draft has none on sale
    "GET /v1/events/{event_id}/sales": {"owner", "support", "operator"},
    "GET /v1/events/{event_id}/cancellation": {"owner", "support", "operator"},
    "POST /v1/events/{event_id}/publish": {"owner", "operator"},
    "POST /v1/events/{event_id}/cancel": {"owner", "operator"},
    "GET /v1/teams/{team_id}": {"owner", "operator"},
    "PUT /v1/teams/{team_id}/members/{user_id}": {"owner", "operator"},
    "DELETE /v1/teams/{team_id}/members/{user_id}": {"owner", "operator"},
    "PUT /v1/me/teams/{team_id}": {"owner"},
    "DELETE /v1/me/teams/{team_id}": {"owner"},
    "DELETE /v1/me/sessions/{session_id}": {"owner"},
    "DELETE /v1/me/grants/{grant_id}": {"owner"},
    "DELETE /v1/me/consents/{client_id}": {"owner"},
    "PUT /v1/users/{user_id}/roles": {"operator"},
    "GET /internal/v1/users/{user_id}/contact": set(),
    "GET /internal/v1/users/{user_id}/mail-tokens/{token_id}": set(),
    "GET /internal/v1/users/{user_id}/erasure": set(),
    "POST /internal/v1/users/{user_id}/sealed": set(),
    "POST /internal/v1/users/{user_id}/opened": set(),
}
OF_SOLD_EVENT = ("/sales", "/cancellation")
BODIES: dict[str, dict[str, Any]] = {
    "POST /v1/bookings/{booking_id}/exchange": {"ticket": str(uuid4()), "seat": "A-1-2"},
    "POST /v1/bookings/{booking_id}/exchange/quote": {"ticket": str(uuid4()), "seat": "A-1-2"},
    "POST /v1/events/{event_id}/cancel": {"reason": "The organizer asked us by telephone."},
    "POST /v1/bookings/{booking_id}/payment": {"provider": "stripe", "payment_method": "pm_card_visa_chargeDeclined"},
    "POST /v1/bookings/{booking_id}/refund": {"reason": "We cannot come."},
    "PUT /v1/teams/{team_id}/members/{user_id}": {"role": "staff"},
    "PUT /v1/users/{user_id}/roles": {"roles": ["customer", "organizer", "support", "operator"]},
}
LAST = (
    "POST /v1/events/{event_id}/publish",
    "POST /v1/events/{event_id}/cancel",
    "DELETE /v1/bookings/{booking_id}",
)
"""They change what the others need."""


def id_routes() -> list[Route]:
    return sorted(
        (route for route in routes(application()) if "_id}" in route.path),
        key=lambda route: LAST.index(name(route)) if name(route) in LAST else -1,
    )


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """At the internal port, which serves the internal routes besides all others."""
    async with patient_client(settings.identity_address) as opened:
        yield opened


def test_every_route_that_names_an_object_is_in_the_table() -> None:
    assert {name(route) for route in id_routes()} == ALLOWED.keys()


async def test_an_object_exists_for_its_owner_and_staff_and_for_no_other_caller(
    settings: Settings, client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    people: dict[str, Any] = {
        "anonymous": None,
        "another": await join(),
        "another organizer": await join("organizer"),
        "support": await join("support"),
        "operator": await join("operator"),
        "owner": await join("organizer"),
    }
    ids = await objects(client, people["owner"], await join(), new_event)
    allowed = await register(settings, client)
    await allowed.tokens_of(people["owner"])
    ids["client_id"] = str(allowed.id)
    await (await register(settings, client)).tokens_of(people["owner"])
    granted = await client.get("/v1/me/grants", headers=people["owner"].headers)
    ids["grant_id"] = granted.json()["grants"][0]["id"]
    wrong: dict[str, tuple[str, int]] = {}
    for route in id_routes():
        for who, person in people.items():
            status = await call(client, route, person, ids)
            if not fits(route, who, status):
                wrong[f"{who}: {name(route)}"] = ("allowed" if who in ALLOWED[name(route)] else "not allowed", status)
    assert wrong == {}


async def test_another_persons_object_is_answered_like_an_unknown_one(
    client: httpx2.AsyncClient, join: Join, new_event: dict[str, Any]
) -> None:
    owner, thief = await join("organizer"), await join("organizer")
    draft, on_sale = [(await post(client, owner, "/v1/events", new_event))["id"] for _ in range(2)]
    await post(client, owner, f"/v1/events/{on_sale}/publish")
    booking = await post(client, owner, "/v1/bookings", {"event_id": on_sale, "seats": ["A-1-1"]})
    team = await post(client, owner, "/v1/teams", {"name": "Globe"})
    ids = {"booking_id": booking["id"], "event_id": draft, "team_id": team["id"]}
    nothing = {key: str(uuid4()) for key in ids}
    for path in ("/v1/bookings/{booking_id}", "/v1/events/{event_id}", "/v1/teams/{team_id}"):
        answers = [await client.get(path.format(**each), headers=thief.headers) for each in (ids, nothing)]
        bodies = [answer.json() | {"instance": "", "request_id": ""} for answer in answers]
        assert [problem(answer) for answer in answers] == ["not-found"] * 2
        assert bodies[0] == bodies[1]


async def post(client: httpx2.AsyncClient, person: Person, path: str, body: Any = None) -> dict[str, Any]:
    """What the person makes."""
    answer = await client.post(path, json=body, headers=person.headers | {"Idempotency-Key": str(uuid4())})
    assert answer.status_code < 300, answer.text
    return dict(answer.json())


async def objects(
    client: httpx2.AsyncClient, owner: Person | None, other: Person, new_event: dict[str, Any]
) -> dict[str, str]:
    """A draft, an event that was cancelled, a booking that waits for payment, a team, a log-in; all the owner's."""
    assert owner is not None
    drafts = [(await post(client, owner, "/v1/events", new_event))["id"] for _ in range(3)]
    for published in drafts[1:]:
        await post(client, owner, f"/v1/events/{published}/publish")
    booking = await post(client, owner, "/v1/bookings", {"event_id": drafts[2], "seats": ["A-1-1"]})
    await post(client, owner, f"/v1/events/{drafts[1]}/cancel")
    team = await post(client, owner, "/v1/teams", {"name": "Globe"})
    elsewhere = await log_in(client, owner.email, owner.password)
    listed = (await client.get("/v1/me/sessions", headers=elsewhere.headers)).json()["sessions"]
    session = next(each["id"] for each in listed if each["current"])
    sold = {"sold_event_id": drafts[1], "booking_id": booking["id"]}
    persons = {"user_id": other.id, "session_id": session, "token_id": str(uuid4()), "exchange_id": str(uuid4())}
    return {"event_id": drafts[0], "team_id": team["id"]} | persons | sold


async def call(client: httpx2.AsyncClient, route: Route, person: Person | None, ids: dict[str, str]) -> int:
    is_sold = route.path.endswith(OF_SOLD_EVENT)
    path = route.path.format(**ids | ({"event_id": ids["sold_event_id"]} if is_sold else {}))
    headers = (person.headers if person else {}) | {"Idempotency-Key": str(uuid4())}
    body = BODIES.get(name(route), {} if route.method in ("POST", "PUT") else None)
    async with client.stream(route.method, path, json=body, headers=headers) as answer:  # one of them never ends
        return answer.status_code


def fits(route: Route, who: str, status: int) -> bool:
    """An admitted caller gets any answer but these; the others get the one that reveals least."""
    if who in ALLOWED[name(route)]:
        return status not in (401, 403, 404, 422) and status < 500
    if "/internal/" in route.path:
        return status == 401
    if who == "anonymous" and not route.admits("anonymous"):
        return status == 401
    column = {"another": "customer", "another organizer": "organizer", "owner": "organizer"}.get(who, who)
    return status == (404 if route.admits(column) else 403)
