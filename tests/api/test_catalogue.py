"""Events from draft to sale to cancellation, and what is left of their places."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from sqlalchemy import text

from config.settings import Settings
from db.engine import open_engine
from tests.api.conftest import ByToken
from tests.api.people import Person, problem
from tests.pace import watch
from tests.scale import sample

Body = dict[str, Any]


async def _draft(client: httpx2.AsyncClient, organizer: Person, body: Body) -> str:
    answer = await client.post("/v1/events", json=body, headers=organizer.headers)
    assert answer.status_code == 201, answer.text
    return f"/v1/events/{answer.json()['id']}"


async def test_an_event_is_drafted_published_and_its_places_are_shown(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    published = await client.post(f"{path}/publish", headers=organizer.headers)
    assert (published.status_code, published.json()["status"]) == (200, "published")
    seen = (await client.get(path)).json()
    assert seen == published.json()
    assert {name: seen[name] for name in new_event if name != "sections"} == {
        name: value for name, value in new_event.items() if name != "sections"
    }
    seats = (await client.get(f"{path}/seats")).json()
    seated, general = seats["sections"]
    assert [seat["name"] for seat in seated["seats"]] == ["A-1-1", "A-1-2", "A-1-3", "A-2-1", "A-2-2", "A-2-3"]
    assert {seat["status"] for seat in seated["seats"]} == {"available"}
    assert general == {"name": "Standing", "kind": "general", "price": 2000, "capacity": 10, "available": 10}


async def test_a_draft_is_for_its_organizer_and_staff_and_does_not_exist_for_others(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    for roles, status in {(): 404, ("organizer",): 404, ("support",): 200, ("operator",): 200}.items():
        person = by_token(*roles)
        assert (await client.get(path, headers=person.headers)).status_code == status, roles
    assert (await client.get(path)).status_code == 404
    assert (await client.get(path, headers=organizer.headers)).status_code == 200
    assert problem(await client.get(f"{path}/seats", headers=organizer.headers)) == "not-found"


async def test_organizers_alone_draft_and_they_publish_and_cancel_only_their_own_events(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    customer, stranger, organizer = by_token(), by_token("organizer"), by_token("organizer")
    assert problem(await client.post("/v1/events", json=new_event, headers=customer.headers)) == "forbidden"
    assert problem(await client.post("/v1/events", json=new_event)) == "unauthenticated"
    path = await _draft(client, organizer, new_event)
    assert problem(await client.post(f"{path}/publish", headers=stranger.headers)) == "not-found"
    assert (await client.post(f"{path}/publish", headers=organizer.headers)).status_code == 200
    assert problem(await client.post(f"{path}/cancel", headers=stranger.headers)) == "not-found"
    assert problem(await client.post(f"{path}/cancel")) == "unauthenticated"


async def test_publishing_many_times_at_once_publishes_once(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, settings: Settings
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    answers = await asyncio.gather(*(client.post(f"{path}/publish", headers=organizer.headers) for _ in range(6)))
    assert {(answer.status_code, answer.json()["version"]) for answer in answers} == {(200, 2)}
    assert await _told(settings, path) == ["event.published"]


async def test_cancelling_stops_sales_and_cannot_be_undone(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, settings: Settings
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    await client.post(f"{path}/publish", headers=organizer.headers)
    for _ in range(2):
        cancelled = await client.post(f"{path}/cancel", headers=organizer.headers)
        assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    assert (await client.get(f"{path}/seats")).json()["status"] == "cancelled"
    assert problem(await client.post(f"{path}/publish", headers=organizer.headers)) == "wrong-state"
    assert (await client.get(path)).json()["status"] == "cancelled", "buyers can still read it"
    assert await _told(settings, path) == ["event.published", "event.cancelled"]


@pytest.mark.parametrize("attempt", sample(range(5), 2, of="cancels beside a publish"))
async def test_a_cancel_beside_a_publish_ends_cancelled_in_both_services(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, attempt: int
) -> None:
    organizer = by_token("operator", "organizer")
    path = await _draft(client, organizer, new_event)
    await asyncio.gather(
        client.post(f"{path}/publish", headers=organizer.headers),
        client.post(f"{path}/cancel", headers=organizer.headers),
    )
    assert (await client.get(path, headers=organizer.headers)).json()["status"] == "cancelled"
    seats = await client.get(f"{path}/seats")
    assert seats.status_code == 404 or seats.json()["status"] == "cancelled"


async def test_a_cancelled_draft_stays_out_of_sight(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    assert (await client.post(f"{path}/cancel", headers=organizer.headers)).status_code == 200
    assert (await client.get(path)).status_code == 404
    assert (await client.get(f"{path}/seats")).status_code == 404


async def test_a_house_of_80_000_seats_is_published_and_shown_in_seconds(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    section = {"name": "Süd-Kurve 1", "kind": "seated", "rows": 200, "seats_per_row": 400, "price": 100}
    path = await _draft(client, organizer, new_event | {"sections": [section]})
    with watch() as taken:
        assert (await client.post(f"{path}/publish", headers=organizer.headers)).status_code == 200
        shown = (await client.get(f"{path}/seats")).json()["sections"][0]
    assert taken.seconds < taken.allows(15)
    assert len(shown["seats"]) == shown["available"] == 80_000
    assert shown["seats"][-1]["name"] == "Süd-Kurve 1-200-400"
    for how, most in (("seats", 350_000), ("rows", 5_000)):
        answer = await client.get(f"{path}/seats?format={how}", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert "Accept-Encoding" in answer.headers["vary"]
        assert int(answer.headers["content-length"]) < most
    assert answer.json()["sections"][0]["rows"] == ["." * 400] * 200
    plain = await client.get(f"{path}/seats?format=rows", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.json() == answer.json()
    assert plain.headers["etag"] != answer.headers["etag"]
    assert problem(await client.get(f"{path}/seats?format=bits")) == "invalid-request"


async def test_a_draft_whose_time_has_come_is_not_published(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, settings: Settings
) -> None:
    organizer = by_token("organizer")
    path = await _draft(client, organizer, new_event)
    engine = open_engine(settings.database_url("catalogue"), serves_callers=False)
    async with engine.begin() as connection:
        event_id = path.rpartition("/")[2]
        await connection.execute(text("UPDATE events SET starts_at = now() WHERE id = :id"), {"id": event_id})
    await engine.dispose()
    assert problem(await client.post(f"{path}/publish", headers=organizer.headers)) == "wrong-state"


async def test_sections_stay_in_the_organizers_order_whatever_is_sold_of_them(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, settings: Settings
) -> None:
    organizer = by_token("organizer")
    new_event["sections"].reverse()
    path = await _draft(client, organizer, new_event)
    assert (await client.post(f"{path}/publish", headers=organizer.headers)).status_code == 200
    engine = open_engine(settings.database_url("reservation"), serves_callers=False)
    async with engine.begin() as connection:  # as claims do, so often that the row leaves its page
        await connection.execute(
            text("UPDATE sections SET price = price WHERE event_id = :id AND kind = 'general'"),
            [{"id": path.rpartition("/")[2]}] * 300,
        )
    await engine.dispose()
    shown = (await client.get(f"{path}/seats")).json()["sections"]
    assert [section["name"] for section in shown] == ["Standing", "A"]


async def test_an_event_that_does_not_exist_is_404_everywhere(client: httpx2.AsyncClient, by_token: ByToken) -> None:
    organizer = by_token("organizer")
    path = f"/v1/events/{uuid4()}"
    for call in (client.get(path), client.get(f"{path}/seats")):
        assert problem(await call) == "not-found"
    for verb in ("publish", "cancel"):
        assert problem(await client.post(f"{path}/{verb}", headers=organizer.headers)) == "not-found"


async def _told(settings: Settings, path: str) -> list[str]:
    """The types of the domain events that the catalogue has appended for an event."""
    engine = open_engine(settings.database_url("catalogue"), serves_callers=False)
    async with engine.connect() as connection:
        types = await connection.scalars(
            text("SELECT type FROM domain_events WHERE aggregate_id = :id ORDER BY sequence"),
            {"id": path.rpartition("/")[2]},
        )
        told = list(types)
    await engine.dispose()
    return told


@pytest.mark.parametrize(
    ("named", "zone", "local"),
    [
        ({}, "Europe/Amsterdam", "2030-05-01T21:30:00+02:00"),
        ({"timezone": "Europe/Istanbul"}, "Europe/Istanbul", "2030-05-01T22:30:00+03:00"),
        ({"timezone": "Asia/Kathmandu"}, "Asia/Kathmandu", "2030-05-02T01:15:00+05:45"),
    ],
    ids=["of its place", "named", "another day there"],
)
async def test_an_event_carries_the_clock_of_its_venue_beside_utc(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body, named: Body, zone: str, local: str
) -> None:
    organizer = by_token("organizer")
    amsterdam = new_event["venue"] | {"latitude": 52.3622, "longitude": 4.8838}
    body = new_event | {"venue": amsterdam, "starts_at": "2030-05-01T21:30:00+02:00"} | named
    path = await _draft(client, organizer, body)
    seen = (await client.get(path, headers=organizer.headers)).json()
    assert (seen["starts_at"], seen["timezone"], seen["starts_at_local"]) == ("2030-05-01T19:30:00Z", zone, local)


async def test_a_zone_that_does_not_exist_is_refused_by_the_name_of_its_field(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: Body
) -> None:
    organizer = by_token("organizer")
    for zone in ("", "CEST+2", "europe/istanbul", "Europe/Atlantis", "../../etc/passwd", 3, "\x00"):
        refused = await client.post("/v1/events", json=new_event | {"timezone": zone}, headers=organizer.headers)
        assert problem(refused) == "invalid-request", zone
        assert [error["field"] for error in refused.json()["errors"]] == ["body.timezone"], zone
