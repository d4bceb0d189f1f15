"""Support finds people, bookings and payments by what a person on the telephone knows; each search is recorded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

import httpx2
import orjson
import psycopg
import pytest
from starlette.requests import Request

from adapters.internal.audit_log import AuditEntry
from api.auth.audit import AuditRecorder
from api.auth.tokens import Principal
from domain.identity import Role
from tests.api.conftest import ByToken, Join
from tests.api.people import problem
from tests.api.test_audit_log import entries, user
from tests.platform_client import PlatformClient


async def test_support_finds_a_person_by_address_in_any_case_and_sees_no_profile(
    client: httpx2.AsyncClient, join: Join, by_token: ByToken, superuser: psycopg.Connection
) -> None:
    support, buyer = by_token("support"), await join()
    found = await client.post("/v1/support/people", json={"email": buyer.email.upper()}, headers=support.headers)
    assert found.status_code == 200, found.text
    [person] = found.json()["people"]
    assert person.keys() == {"id", "created_at", "verified_at"}
    assert f"user/{person['id']}" == user(buyer)
    unknown = await client.post("/v1/support/people", json={"email": "x@example.test"}, headers=support.headers)
    assert unknown.json() == {"people": [], "next_cursor": None}
    searched = [action for actor, _, action in entries(superuser, user(buyer)) if actor == user(support)]
    assert searched == ["person.searched"]


SPELLINGS = {
    "Ayşe Gül {mark}": True,
    "ayse gul {mark}": True,
    "{mark} AYŞE-GÜL": True,
    "Ayşe {mark}": False,
    "Ayşe Güler {mark}": False,
}
"""Whether it finds the people with the first of these names."""


async def test_support_finds_people_by_their_whole_name_in_any_spelling(
    client: httpx2.AsyncClient, join: Join, by_token: ByToken, superuser: psycopg.Connection
) -> None:
    mark = "".join(letter for letter in uuid4().hex if letter.isalpha())
    buyer, namesake, other = await join(), await join(), await join()
    for person in (buyer, namesake):
        changed = await client.patch("/v1/me", json={"name": f"Ayşe Gül {mark}"}, headers=person.headers)
        assert changed.status_code == 200, changed.text
    for spelling, is_found in SPELLINGS.items():
        name, support = {"name": spelling.format(mark=mark)}, by_token("support")
        answer = await client.post("/v1/support/people", json=name, headers=support.headers)
        assert answer.status_code == 200, answer.text
        found = {f"user/{person['id']}" for person in answer.json()["people"]}
        assert found == ({user(buyer), user(namesake)} if is_found else set()), spelling
        for person, count in ((buyer, is_found), (namesake, is_found), (other, False)):
            searched = [action for actor, _, action in entries(superuser, user(person)) if actor == user(support)]
            assert searched == ["person.searched"] * count, spelling


@pytest.mark.parametrize("query", [{}, {"name": "A", "email": "a@example.test"}, {"name": "\u200b"}, {"phone": "1"}])
async def test_a_search_for_people_names_either_an_address_or_a_name(
    client: httpx2.AsyncClient, by_token: ByToken, query: dict[str, str]
) -> None:
    support = by_token("support")
    answer = await client.post("/v1/support/people", json=query, headers=support.headers)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")


async def test_an_erased_person_is_not_found_by_name(client: httpx2.AsyncClient, join: Join, by_token: ByToken) -> None:
    support, buyer, mark = by_token("support"), await join(), uuid4().hex
    await client.patch("/v1/me", json={"name": f"Once {mark}"}, headers=buyer.headers)
    gone = await client.request("DELETE", "/v1/me", json={"password": buyer.password}, headers=buyer.headers)
    assert gone.status_code < 300, gone.text
    answer = await client.post("/v1/support/people", json={"name": f"Once {mark}"}, headers=support.headers)
    assert answer.json() == {"people": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "cursor"),
    [({"name": "Ada Lovelace"}, str(uuid4())), ({"email": "a@example.test"}, str(uuid4())), ({"name": "A"}, "2")],
    ids=["of another list", "by address", "no id"],
)
async def test_a_cursor_that_no_page_has_given_is_refused_by_name(
    client: httpx2.AsyncClient, by_token: ByToken, query: dict[str, str], cursor: str
) -> None:
    support = by_token("support")
    path = f"/v1/support/people?cursor={cursor}"
    answer = await client.post(path, json=query, headers=support.headers)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert [each["field"] for each in answer.json()["errors"]] == ["query.cursor"]


_FLOOD = """
INSERT INTO users (id, address_hash, name_hash, profile, password_hash, roles)
SELECT uuidv7(), sha256(convert_to(%s || n, 'UTF8')), name_hash, profile, 'x', '{}'
FROM users, generate_series(1, 45) AS n WHERE users.id = %s
"""


async def test_accounts_without_a_proven_address_hide_no_other_of_their_name(
    client: httpx2.AsyncClient, join: Join, by_token: ByToken, superuser: psycopg.Connection
) -> None:
    support, owner, mark = by_token("support"), await join(), uuid4().hex
    name = {"name": f"Ada {mark}"}
    await client.patch("/v1/me", json=name, headers=owner.headers)
    superuser.execute("UPDATE users SET verified_at = now() WHERE id = %s", [owner.id])
    superuser.execute(_FLOOD, [mark, owner.id])

    async def page(cursor: str) -> tuple[list[str], str | None]:
        answer = await client.post(f"/v1/support/people{cursor}", json=name, headers=support.headers)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["people"]], answer.json()["next_cursor"]

    found, cursor = await page("")
    assert found[0] == owner.id
    while cursor:
        more, cursor = await page(f"?cursor={cursor}")
        found += more
    others = superuser.execute(
        "SELECT id::text FROM users WHERE id <> %s AND name_hash = (SELECT name_hash FROM users WHERE id = %s)"
        " ORDER BY id DESC",
        [owner.id, owner.id],
    )
    assert found == [owner.id, *(id_ for (id_,) in others.fetchall())]
    assert len(found) == 46
    superuser.execute("DELETE FROM users WHERE id = ANY(%s::uuid[])", [found[1:]])


@pytest.mark.parametrize(("others", "pages"), [(18, [19]), (19, [20]), (20, [20, 1]), (39, [20, 20])])
async def test_the_last_page_of_a_name_says_so_and_no_empty_search_follows(
    client: httpx2.AsyncClient,
    join: Join,
    by_token: ByToken,
    superuser: psycopg.Connection,
    others: int,
    pages: list[int],
) -> None:
    support, owner, mark = by_token("support"), await join(), uuid4().hex
    name = {"name": f"Eve {mark}"}
    await client.patch("/v1/me", json=name, headers=owner.headers)
    superuser.execute(_FLOOD.replace("45", str(others)), [mark, owner.id])
    found: list[list[str]] = []
    cursor = ""
    while cursor is not None:
        path = f"/v1/support/people{cursor and f'?cursor={cursor}'}"
        answer = (await client.post(path, json=name, headers=support.headers)).json()
        found.append([each["id"] for each in answer["people"]])
        cursor = answer["next_cursor"]
    everyone = [id_ for page in found for id_ in page]
    assert [len(page) for page in found] == pages
    assert len(set(everyone)) == len(everyone)
    notes = "SELECT object FROM audit_log WHERE actor = %s AND action = 'person.searched'"
    searched = superuser.execute(notes, [user(support)]).fetchall()
    assert sorted(object_ for (object_,) in searched) == sorted(f"user/{id_}" for id_ in everyone)
    superuser.execute("DELETE FROM users WHERE id = ANY(%s::uuid[]) AND id <> %s", [everyone, owner.id])


async def test_support_finds_a_booking_by_buyer_ticket_exchange_and_refund(
    client: httpx2.AsyncClient, by_token: ByToken, platform: PlatformClient, superuser: psycopg.Connection
) -> None:
    support, event, buyer = by_token("support"), await platform.event(), platform.new_buyer()
    booking = await buyer.bought(event, "A-1-1")
    [ticket] = booking["tickets"]
    exchange = (await buyer.exchange(booking["id"], ticket["id"], "A-1-2", method=None)).json()["id"]
    refund = (await buyer.refund(booking["id"])).json()["id"]

    async def found(**query: str) -> list[str]:
        answer = await client.get("/v1/support/bookings", params=query, headers=support.headers)
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["bookings"]]

    assert await found(user_id=booking["user_id"]) == [booking["id"]]
    assert await found(ticket_id=ticket["id"]) == [booking["id"]]
    assert await found(refund_id=refund) == [booking["id"]]
    assert await found(exchange_id=exchange) == [booking["id"]]
    assert await found(exchange_id=refund) == []
    assert await found(ticket_id=str(uuid4())) == []
    assert entries(superuser, f"ticket/{ticket['id']}") == [(user(support), "customer,support", "booking.searched")]


async def test_support_finds_a_payment_by_the_providers_id_and_by_its_booking(
    client: httpx2.AsyncClient, by_token: ByToken, platform: PlatformClient, superuser: psycopg.Connection
) -> None:
    support, event, buyer = by_token("support"), await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    [intent] = await platform.provider.intents(booking)
    for query in ({"provider_id": intent["id"]}, {"booking_id": booking}):
        answer = await client.get("/v1/support/payments", params=query, headers=support.headers)
        assert answer.status_code == 200, answer.text
        [payment] = answer.json()["payments"]
        assert (payment["booking_id"], payment["provider"], payment["provider_id"]) == (booking, "stripe", intent["id"])
        assert (payment["state"], payment["amount"], payment["currency"]) == ("captured", 5000, "EUR")
    searched = [(user(support), "customer,support", "payment.searched")]
    assert [each for each in entries(superuser, f"booking/{booking}") if each[0] == user(support)] == searched * 2


async def test_what_support_types_into_a_search_is_sealed_in_the_audit_log(
    client: httpx2.AsyncClient, join: Join, superuser: psycopg.Connection
) -> None:
    support, typed = await join("support"), f"{uuid4()}@example.test"
    none = await client.get("/v1/support/payments", params={"provider_id": typed}, headers=support.headers)
    assert none.json() == {"payments": []}
    written = "SELECT object, origin FROM audit_log WHERE action = 'payment.searched' AND actor = %s"
    [(object_, origin)] = superuser.execute(written, [user(support)]).fetchall()
    assert (object_, typed.encode() in origin) == ("payment/unknown", False)


async def test_what_a_request_says_is_in_the_origin_of_its_entry() -> None:
    kept: list[AuditEntry] = []
    log: Any = SimpleNamespace(record=AsyncMock(side_effect=kept.append))
    request = Request({"type": "http", "headers": [], "request_id": str(uuid4()), "client": ("192.0.2.1", 1)})
    caller = Principal(uuid4(), frozenset({Role.SUPPORT}))
    await AuditRecorder(log, request).record(caller, "payment.searched", "payment/unknown", typed="a@example.test")
    [entry] = kept
    assert entry.object == "payment/unknown"
    assert orjson.loads(entry.origin)["typed"] == "a@example.test"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/support/bookings",
        f"/v1/support/bookings?user_id={UUID(int=1)}&ticket_id={UUID(int=2)}",
        "/v1/support/bookings?user_id=me",
        "/v1/support/payments",
        f"/v1/support/payments?provider_id=pi_1&booking_id={UUID(int=1)}",
        "/v1/support/payments?provider_id=%00",
    ],
)
async def test_a_search_for_nothing_certain_is_refused(
    client: httpx2.AsyncClient, by_token: ByToken, path: str
) -> None:
    support = by_token("support")
    assert problem(await client.get(path, headers=support.headers)) == "invalid-request"
