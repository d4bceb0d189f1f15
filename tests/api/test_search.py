"""Search over REST: what may be asked, and how wrong questions are answered."""

from __future__ import annotations

from urllib.parse import quote

import httpx2
import pytest

from tests.api.people import problem


@pytest.mark.parametrize(
    "question",
    [
        "",
        "?q=hamlet",
        "?q=%27%22%5C*%3A(",
        "?q=" + "+".join("abcdefghij" * 10),
        "?q=" + ".".join("abcdefghij" * 10),
        "?q=" + quote("久石譲響" * 50),
        "?q=" + "x" * 200,
        "?category=theatre&city=Z%C3%BCrich",
        "?near=41.01,28.98&radius_km=10&sort=distance",
        "?price_min=2500000000&price_max=999999999999",
        "?from=2030-01-01T00:00:00Z&to=2031-01-01T00:00:00%2B03:00&sort=date&size=1",
        "?from=2030-01-01",
        "?from=2030-01-01&to=2030-01-01",
        "?from=0001-01-01&to=9999-12-31",
        "?from=2030-01-02T11:00:00Z&to=2030-01-01",  # the day still lasts in the west
        "?from=2030-01-01&to=2029-12-31T11:00:00Z",  # and has begun in the east
        "?currency=EUR&sort=price",
        "?price_min=5&price_max=5",
        "?from=0319-07-06T11:53:43%2B23:43",
        "?from=0001-01-01T00:00:00%2B23:59&to=9999-12-31T23:59:59.999999-23:59",
    ],
)
async def test_a_question_is_answered_with_hits_and_facets(client: httpx2.AsyncClient, question: str) -> None:
    answer = await client.get(f"/v1/search{question}")
    assert answer.status_code == 200, answer.text
    page = answer.json()
    assert len(page["hits"]) <= page["total"]
    assert set(page["facets"]) >= {"category", "city"}


@pytest.mark.parametrize(
    "question",
    [
        "from=2031-01-01&to=2030-01-01",
        "from=2031-01-01T00:00:00Z&to=2031-01-01T00:00:00%2B03:00",
        "from=2030-01-02T13:00:00Z&to=2030-01-01",
        "from=2030-01-01&to=2029-12-31T09:00:00Z",
        "from=9999-12-31&to=0001-01-01T00:00:00Z",
        "price_min=2&price_max=1",
        "currency=euro",
        "currency=",
        "q=" + "x" * 201,
        "q=%00",
        "q=a&q=b&unknown=1",
        "near=here",
        "near=91,0",
        "near=nan,0",
        "near=1e999,0",
        "sort=distance",
        "sort=best",
        "radius_km=0",
        "radius_km=inf",
        "price_min=-1",
        "price_max=1000000000000",
        "price_max=99999999999999999999",
        "from=2030-01-01T19:30:00",
        "from=2030-02-30",
        "to=2030-01",
        "to=tomorrow",
        "size=0",
        "size=101",
        "cursor=%00",
        "cursor=made-up",
    ],
)
async def test_a_bad_question_is_refused(client: httpx2.AsyncClient, question: str) -> None:
    answer = await client.get(f"/v1/search?{question}")
    assert (answer.status_code, problem(answer)) == (422, "invalid-request")


@pytest.mark.parametrize(
    ("question", "field", "words"),
    [
        ("from=2031-01-01&to=2030-01-01", "query.to", "from"),
        ("price_min=2&price_max=1", "query.price_max", "price_min"),
        ("from=2030-01-01T19:30:00", "query.from", "2030-05-01"),
        ("to=soon", "query.to", "UTC offset"),
        ("cursor=made-up", "query.cursor", "this search"),
    ],
)
async def test_a_refusal_names_the_field_and_says_why(
    client: httpx2.AsyncClient, question: str, field: str, words: str
) -> None:
    (error,) = (await client.get(f"/v1/search?{question}")).json()["errors"]
    assert error["field"] == field
    assert words in error["message"]


async def test_suggestions_come_while_a_visitor_types(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/v1/search/suggest?q=ham")
    assert answer.status_code == 200, answer.text
    assert isinstance(answer.json()["suggestions"], list)
    for bad in ("", "?q=", "?q=%00", "?q=" + "x" * 201):
        assert problem(await client.get(f"/v1/search/suggest{bad}")) == "invalid-request"
