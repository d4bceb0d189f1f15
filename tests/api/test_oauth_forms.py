"""What OAuth's calls read as a form is what the search for card numbers reads as one."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from starlette.requests import Request

from api.identity.oauth.forms import form_of
from domain.problems import ProblemType, Refused
from tests.api.people import problem


@pytest.mark.parametrize("kind", ["text/plain", "multipart/x-data", "application/json5", "application/xml", ""])
async def test_only_a_body_that_says_to_be_a_form_is_read_as_one(kind: str) -> None:
    """The search for card numbers reads escapes of forms alone: `nonce` was stored with what they stand for."""

    async def receive() -> dict[str, Any]:
        hidden = "".join(f"%3{digit}" for digit in "5105105105105100")
        return {"type": "http.request", "body": f"decision=allow&nonce={hidden}".encode()}

    request = Request({"type": "http", "headers": [(b"content-type", kind.encode())]}, receive)
    with pytest.raises(Refused) as refused:
        await form_of(request)
    assert refused.value.problem.type is ProblemType.UNSUPPORTED_MEDIA_TYPE


@pytest.mark.parametrize("path", ["authorize", "token", "revoke", "introspect"])
async def test_a_form_by_another_name_is_a_415(client: httpx2.AsyncClient, path: str) -> None:
    form = {"Content-Type": "text/plain"}
    answer = await client.post(f"/v1/oauth/{path}", content=b"grant_type=client_credentials", headers=form)
    assert (answer.status_code, problem(answer)) == (415, "unsupported-media-type")


@pytest.mark.parametrize(("field", "most"), [("email", 254), ("password", 200), ("second_factor", 100)])
async def test_the_pages_own_fields_are_as_short_as_those_of_a_log_in(
    client: httpx2.AsyncClient, field: str, most: int
) -> None:
    """To normalize a name of 15 KB of combining marks held the event loop for 0.1 s."""
    for length, tells in ((most, False), (most + 1, True)):
        answer = await client.post("/v1/oauth/authorize", data={"decision": "allow", field: "\u0301" * length})
        assert (answer.status_code, problem(answer)) == (400, "invalid-request")
        assert (field in answer.json().get("error_description", "")) is tells, answer.text
