"""A service of Seatwright either gives a proper answer, or the caller learns that it is unavailable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest
from aiohttp import web
from pydantic import BaseModel

from adapters.internal.client import InternalClient
from domain.problems import ProblemType, Refused


class Answer(BaseModel):
    value: int


class Service:
    """A service with an endpoint for each way to answer."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.BaseRequest] = []

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return await ANSWERS[request.path.rpartition("/")[2]](request)


async def proper(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"value": 7})


async def missing(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=404)


async def denied(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=401)


async def broken(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=500)


async def redirect(request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=307, headers={"Location": "/proper"})


async def other_body(request: web.BaseRequest) -> web.StreamResponse:
    return web.json_response({"other": 7})


async def no_answer(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport
    request.transport.close()
    return web.Response()


async def late(request: web.BaseRequest) -> web.StreamResponse:
    await asyncio.sleep(60)
    return web.Response()


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
ANSWERS: Mapping[str, Handler] = {
    handler.__name__: handler for handler in (proper, missing, denied, broken, redirect, other_body, no_answer, late)
}


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    server = web.ServerRunner(web.Server(service.answer), shutdown_timeout=0.1)
    await server.setup()
    await web.TCPSite(server, "127.0.0.1", 0).start()
    service.url = "http://{}:{}".format(*server.addresses[0])
    yield service
    await server.cleanup()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[InternalClient]:
    client = InternalClient("identity", service.url, "the-token", seconds=20)
    yield client
    await client.close()


async def test_a_proper_answer_is_read_and_the_token_is_sent(client: InternalClient, service: Service) -> None:
    assert await client.get("/proper", Answer, params={"page": "2"}) == Answer(value=7)
    await client.post("/proper", Answer(value=8))
    get, post = service.requests
    assert (get.method, get.query["page"]) == ("GET", "2")
    assert (post.method, post.headers["Content-Type"]) == ("POST", "application/json")
    assert {request.headers["Authorization"] for request in service.requests} == {"Bearer the-token"}


@pytest.mark.parametrize("suffix", ["/api", "/api/"])
async def test_a_path_of_the_services_address_is_kept(service: Service, suffix: str) -> None:
    client = InternalClient("identity", service.url + suffix)
    assert await client.get("/proper", Answer) == Answer(value=7)
    await client.close()
    assert [request.path for request in service.requests] == ["/api/proper"]


async def test_a_missing_resource_is_none_where_it_may_be_missing(client: InternalClient) -> None:
    assert await client.find("/missing", Answer) is None


@pytest.mark.parametrize("path", sorted(ANSWERS.keys() - {"proper", "late"}))
async def test_no_proper_answer_means_unavailable(path: str, client: InternalClient) -> None:
    with pytest.raises(Refused) as refused:
        await client.get(f"/{path}", Answer)
    assert refused.value.problem.type is ProblemType.UNAVAILABLE
    assert refused.value.problem.detail.startswith("The identity service ")


@pytest.mark.parametrize("path", sorted(ANSWERS.keys() - {"proper", "other_body", "late"}))
async def test_a_write_is_sent_once_and_its_failure_means_unavailable(
    path: str, client: InternalClient, service: Service
) -> None:
    with pytest.raises(Refused) as refused:
        await client.post(f"/{path}", Answer(value=8))
    assert refused.value.problem.type is ProblemType.UNAVAILABLE
    assert [request.path for request in service.requests] == [f"/{path}"]


async def test_a_service_that_is_down_is_unavailable() -> None:
    client = InternalClient("identity", "http://127.0.0.1:9")
    with pytest.raises(Refused) as refused:
        await client.find("/proper", Answer)
    assert refused.value.problem.type is ProblemType.UNAVAILABLE
    await client.close()


async def test_a_service_that_answers_too_late_is_unavailable(service: Service) -> None:
    client = InternalClient("identity", service.url, seconds=0.1)
    with pytest.raises(Refused) as refused:
        await client.get("/late", Answer)
    assert refused.value.problem.detail == "The identity service did not answer: TimeoutError."
    await client.close()
