"""Calls one of Seatwright's own services over HTTP: one policy for time limits, retries, redirects and the token."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import orjson
from opentelemetry import propagate, trace
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, ValidationError

from domain.problems import ProblemType, Refused

_tracer = trace.get_tracer("seatwright.internal")
_NO_ROUTE = "Not Found"  # the detail of a problem about the route itself
_Answer = TypeVar("_Answer", bound=BaseModel)


class FailedAnswer(Refused):
    """The service can be reached, and fails only at this request."""


class InternalClient:
    """One service's HTTP interface; each method raises `Refused` as UNAVAILABLE if there is no proper answer.

    It does not retry: the caller has its own deadline, or is tried again by Kafka. It follows no redirect, because the
    token must not reach another address.
    """

    def __init__(self, service: str, url: str, token: str | None = None, *, seconds: float = 5.0) -> None:
        """Open the client; the event loop must run.

        Args:
            service: The service's name, for error texts.
            url: The service's address; a path before its routes is kept.
            token: The token that all services share; without one, each call brings its own authorization.
            seconds: The most that a call may take.
        """
        self._service = service
        self._url = url.rstrip("/")  # not the session's base: aiohttp drops or refuses an address with a path
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=aiohttp.ClientTimeout(total=seconds),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def find(self, path: str, answer: type[_Answer], **options: Any) -> _Answer | None:
        """GET a resource; None if the service answers 404.

        Args:
            path: The path of the resource, without the address of the service.
            answer: The model that the body must fit.
            options: Query `params` and `headers`.
        """
        body = await self._call("GET", path, **options)
        return None if body is None else self._read(body, answer)

    async def get(self, path: str, answer: type[_Answer], **options: Any) -> _Answer:
        """GET a resource that always exists."""
        found = await self.find(path, answer, **options)
        if found is None:
            raise self._unavailable("answered 404")
        return found

    async def post(self, path: str, body: BaseModel) -> None:
        """POST a body to an endpoint that always exists."""
        headers = {"Content-Type": "application/json"}
        if await self._call("POST", path, data=body.model_dump_json(), headers=headers) is None:
            raise self._unavailable("answered 404")

    async def ask(self, path: str, body: BaseModel, answer: type[_Answer]) -> _Answer | None:
        """POST a body, and read the answer; None if the service answers 404."""
        headers = {"Content-Type": "application/json"}
        given = await self._call("POST", path, data=body.model_dump_json(), headers=headers)
        return None if given is None else self._read(given, answer)

    async def _call(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> bytes | None:
        with _tracer.start_as_current_span(f"{method} {self._service}", kind=SpanKind.CLIENT) as span:
            traced = dict(headers or {})
            if span.is_recording():
                propagate.inject(traced)
            return await self._answered(method, path, headers=traced, **options)

    async def _answered(self, method: str, path: str, **options: Any) -> bytes | None:
        try:
            async with self._session.request(method, self._url + path, allow_redirects=False, **options) as response:
                if response.status == HTTPStatus.NOT_FOUND:
                    if _is_no_route(await response.read()):
                        raise self._unavailable("has no such route at this address")
                    return None
                if response.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                    raise FailedAnswer(ProblemType.UNAVAILABLE, f"The {self._service} service failed.")
                if response.status >= HTTPStatus.MULTIPLE_CHOICES:
                    raise self._unavailable(f"answered {response.status}")
                return await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unavailable(f"did not answer: {type(error).__name__}") from None

    def _read(self, body: bytes, answer: type[_Answer]) -> _Answer:
        try:
            return answer.model_validate_json(body)
        except ValidationError:
            raise self._unavailable("answered something else") from None

    def _unavailable(self, why: str) -> Refused:
        return Refused(ProblemType.UNAVAILABLE, f"The {self._service} service {why}.")


def _is_no_route(body: bytes) -> bool:
    """Whether a 404 is about the route and not about the resource, as at the public port or at another service."""
    try:
        return bool(orjson.loads(body).get("detail") == _NO_ROUTE)
    except (ValueError, AttributeError):
        return False
