"""What clients get wrong, by accident or not: a problem that says what, and never a 5xx."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.api.conftest import ByToken
from tests.api.people import problem

HALF_A_PAIR = "\ud800"
_VENUE = {"name": "Globe", "city": "London", "country": "GB", "latitude": 51.5, "longitude": 0}
_SEATED = {"name": "A", "kind": "seated", "rows": 1, "seats_per_row": 1, "price": 100}
_GENERAL = {"name": "A", "kind": "general", "capacity": 1, "price": 100}

BAD_EVENTS: dict[str, dict[str, Any]] = {
    "no name": {"name": "  "},
    "a name with NUL": {"name": "Ham\x00let"},
    "a name with half a surrogate pair": {"name": HALF_A_PAIR},
    "a long name": {"name": "x" * 201},
    "a name that is a number": {"name": 1},
    "an unknown field": {"status": "published"},
    "an unknown field with an unspeakable name": {HALF_A_PAIR: 1},
    "an organizer of the client's choice": {"organizer_id": str(uuid4())},
    "past": {"starts_at": "2020-01-01T00:00:00Z"},
    "no time zone": {"starts_at": "2100-01-01T00:00:00"},
    "too far": {"starts_at": "9999-12-31T23:59:59-12:00"},
    "before time": {"starts_at": "0001-01-01T00:00:00+14:00"},
    "no time at all": {"starts_at": "soon"},
    "small letters for a currency": {"currency": "eur"},
    "a currency with a line break": {"currency": "EUR\n"},
    "no time to think": {"hold_seconds": 0},
    "too long to think": {"hold_seconds": 3601},
    "true for a number": {"hold_seconds": True},
    "a venue beyond the pole": {"venue": _VENUE | {"latitude": 90.1}},
    "a venue nowhere": {"venue": _VENUE | {"longitude": "NaN"}},
    "a venue with a future": {"venue": _VENUE | {"capacity": 1}},
    "a country that is none": {"venue": _VENUE | {"country": "Atlantis"}},
    "no sections": {"sections": []},
    "two sections of one name": {"sections": [_SEATED, _GENERAL]},
    "two sections of nearly one name": {"sections": [_SEATED, _GENERAL | {"name": "a"}]},
    "too many sections": {"sections": [_GENERAL | {"name": f"S{n}"} for n in range(101)]},
    "too many seats": {"sections": [_SEATED | {"rows": 400, "seats_per_row": 251}]},
    "too many seats together": {"sections": [_GENERAL | {"name": n, "capacity": 50_001} for n in "AB"]},
    "far too many seats": {"sections": [_SEATED | {"rows": 2**31}]},
    "far too high a price": {"sections": [_SEATED | {"price": 10**19}]},
    "less than nothing": {"sections": [_SEATED | {"price": -1}]},
    "half a cent": {"sections": [_SEATED | {"price": 0.5}]},
    "text for a price": {"sections": [_SEATED | {"price": "1"}]},
    "a section of both kinds": {"sections": [_SEATED | {"capacity": 1}]},
    "a section of a third kind": {"sections": [_SEATED | {"kind": "standing"}]},
    "a section that ends with a hyphen": {"sections": [_SEATED | {"name": "A-"}]},
    "a section with a line break": {"sections": [_SEATED | {"name": "A\nB"}]},
    "a section of 51 letters": {"sections": [_SEATED | {"name": "A" * 51}]},
}

BAD_ACCOUNTS: dict[str, dict[str, Any]] = {
    "no address": {"email": "nobody"},
    "an address with NUL": {"email": "a\x00@example.test"},
    "an address with half a surrogate pair": {"email": f"{HALF_A_PAIR}@example.test"},
    "a long address": {"email": "a" * 250 + "@example.test"},
    "a short password": {"password": "1234567"},
    "a long password": {"password": "x" * 201},
    "a password with half a surrogate pair": {"password": f"12345678{HALF_A_PAIR}"},
    "a role": {"roles": ["operator"]},
    "no name": {"name": ""},
    "nothing for a name": {"name": None},
}

ODD_BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 422),
    "no JSON": (b"{", 400),
    "no UTF-8": (b'{"email": "\xff"}', 400),
    "a list": (b"[]", 422),
    "a number beyond all": (b'{"email": 1e999}', 422),
    "a number of many digits": (b'{"email": ' + b"9" * 5000 + b"}", 400),
    "a deep nest": (b"[" * 15_000, 422),
    "NaN": (b'{"email": NaN}', 422),
    "a large body": (b"x" * 17_000, 413),
    "a huge body": (b"x" * 3_000_000, 413),
}


async def test_a_bad_event_is_refused_by_field(
    client: httpx2.AsyncClient, by_token: ByToken, new_event: dict[str, Any]
) -> None:
    organizer, taken = by_token("organizer"), list[str]()
    for name, wrong in BAD_EVENTS.items():
        answer = await _post(client, "/v1/events", new_event | wrong, organizer.headers)
        if answer.status_code != 422 or problem(answer) != "invalid-request":
            taken.append(f"{name}: {answer.status_code} {answer.text}")
            continue
        fields = [error["field"] for error in answer.json()["errors"] if error["message"]]
        if len(answer.json()["errors"]) != 1 or [field[:4] for field in fields] != ["body"]:
            taken.append(f"{name}: {answer.text}")
    assert not taken, "\n".join(taken)


@pytest.mark.parametrize("wrong", BAD_ACCOUNTS.values(), ids=BAD_ACCOUNTS)
async def test_a_bad_account_is_refused_without_echoing_the_password(
    client: httpx2.AsyncClient, wrong: dict[str, Any]
) -> None:
    good = {"email": f"{uuid4()}@example.test", "password": "hunter2-hunter2", "name": "Ada"}
    answer = await _post(client, "/v1/users", good | wrong)
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")
    assert "hunter2" not in answer.text
    assert "1234567" not in answer.text


@pytest.mark.parametrize(("body", "status"), ODD_BODIES.values(), ids=ODD_BODIES)
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
async def test_an_odd_body_is_refused(client: httpx2.AsyncClient, body: bytes, status: int, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    answer = await client.post(
        "/v1/sessions", content=pieces() if chunked else body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == status
    assert problem(answer) == ("body-too-large" if status == 413 else "invalid-request")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/events/%00", 422),
        ("GET", "/v1/events/1", 422),
        ("GET", "/v1/events/%F0%9F%8E%AD/seats", 422),
        ("GET", "/v1/events/%ff", 422),
        ("DELETE", "/v1/users", 405),
        ("GET", "/v1/sessions", 405),
        ("POST", "/v1/oauth/token", 400),
        ("POST", "/v1/users", 422),
        ("PUT", "/v1/users/1/roles", 401),
    ],
)
async def test_an_odd_call_gets_a_problem_from_the_framework_too(
    client: httpx2.AsyncClient, method: str, path: str, status: int
) -> None:
    answer = await client.request(method, path)
    assert answer.status_code == status
    problem(answer)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"grant_type=password&username=a&password=b",
        b"grant_type=refresh_token",
        b"grant_type=refresh_token&refresh_token=" + b"x" * 300,
        b"grant_type=refresh_token&refresh_token=%00",
        b"grant_type=refresh_token&refresh_token=a&scope=all",
        b"\xff\xfe",
        b"%ff=%ff",
    ],
)
async def test_a_bad_token_request_is_refused(client: httpx2.AsyncClient, form: bytes) -> None:
    answer = await client.post(
        "/v1/oauth/token", content=form, headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (answer.status_code, problem(answer)) == (400, "invalid-request")
    assert answer.json()["error"] in {"invalid_request", "invalid_grant", "unsupported_grant_type"}


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_X", True), ("a b", False), ("x" * 65, False), ("", False)])
async def test_a_sane_request_id_is_kept_and_any_other_replaced(
    client: httpx2.AsyncClient, given: str, kept: bool
) -> None:
    answer = await client.get("/livez", headers={"X-Request-Id": given})
    assert (answer.headers["x-request-id"] == given) is kept
    assert answer.headers["x-request-id"]


async def test_every_answer_has_security_headers(client: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/v1/nothing", "/docs", "/openapi.json"):
        headers = (await client.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "default-src 'none'" in headers["content-security-policy"]


async def _post(
    client: httpx2.AsyncClient, path: str, body: dict[str, Any], headers: dict[str, str] | None = None
) -> httpx2.Response:
    """Send a body in ASCII, since half a surrogate pair can only be sent escaped."""
    given = {"Content-Type": "application/json", **(headers or {})}
    return await client.post(path, content=json.dumps(body), headers=given)
