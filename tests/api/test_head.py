"""HEAD answers as GET does, with the same headers and without a body, on every route that can be read."""

from __future__ import annotations

import httpx2

from tests.api.conftest import Join
from tests.platform_client import PlatformClient
from tests.waiting import in_time

SAME = ("content-type", "content-length", "etag", "cache-control", "location", "www-authenticate")


READ = {
    "/livez": 200,
    "/openapi.json": 200,
    "/docs": 200,
    "/.well-known/jwks.json": 200,
    "/v1/me": 200,
    "/v1/me/bookings": 200,
    "/v1/search?q=xqzjwvk": 200,  # none; what is found otherwise changes from call to call, beside other tests
    "/v1/search?nothing=1": 422,
    "/v1/bookings/00000000-0000-4000-8000-000000000000": 404,
    "/v1/sessions": 405,
    "/nothing": 404,
}


async def test_head_has_the_headers_of_get_and_no_body(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    for path, status in READ.items():
        read, head = [await client.request(method, path, headers=person.headers) for method in ("GET", "HEAD")]
        assert (read.status_code, head.status_code, head.content) == (status, status, b""), path
        same = SAME if status == 200 else SAME[:1]
        assert [head.headers.get(name) for name in same] == [read.headers.get(name) for name in same], path


async def test_head_with_the_current_tag_is_304(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    tag = (await client.head("/v1/me", headers=person.headers)).headers["etag"]
    again = await client.head("/v1/me", headers=person.headers | {"If-None-Match": tag})
    assert again.status_code == 304


async def test_head_of_a_stream_ends_at_once(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()
    booking = await buyer.held(await platform.event(), "A-1-1")
    for _ in range(12):  # more than a user may follow at a time
        asked = platform.http.head(f"/v1/bookings/{booking}/stream", headers=buyer.headers)
        answer = await in_time(asked, within=10)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_405_names_head_where_get_is_there(client: httpx2.AsyncClient) -> None:
    assert (await client.put("/v1/search")).headers["allow"] == "GET, HEAD"
    assert (await client.get("/v1/sessions")).headers["allow"] == "POST"
