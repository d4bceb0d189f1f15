"""Internal routes are not on the public port, whatever a request says of itself."""

from __future__ import annotations

from itertools import product
from uuid import uuid4

import httpx2
import pytest

from adapters.internal.audit_log import AuditEntry, AuditLogClient
from adapters.internal.contacts import ContactsClient
from config.settings import Settings, secret
from domain.problems import ProblemType, Refused
from tests.api.conftest import Join
from tests.api.people import problem
from tests.http_client import http_client

PATHS = [
    "/internal/v1/users/{id}/contact",
    "/internal/v1/users/{id}/mail-tokens/{id}",
    "/internal/v1/users/{id}/sealed",
    "/internal/v1/users/{id}/opened",
    "/internal/v1/audit-log",
    "/internal/v1/revocations?since=0",
    "/internal",
    "/internal/",
    "//internal/v1/users/{id}/contact",
    "/%69nternal/v1/users/{id}/contact",
    "/INTERNAL/v1/users/{id}/contact",
    "/v1/../internal/v1/users/{id}/contact",
]
DISGUISES: dict[str, dict[str, str]] = {
    "plain": {},
    "host": {"Host": "{internal}"},
    "forwarded": {"X-Forwarded-Port": "{port}", "X-Forwarded-Host": "{internal}"},
}
METHODS = ("GET", "POST", "HEAD")


async def test_an_internal_route_does_not_exist_at_the_public_port(
    client: httpx2.AsyncClient, settings: Settings, join: Join
) -> None:
    person, internal = await join(), settings.identity_address.removeprefix("http://")
    token = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    wrong = []
    for disguise, path, method in product(DISGUISES, PATHS, METHODS):
        said = {
            name: text.format(internal=internal, port=internal.rpartition(":")[2])
            for name, text in DISGUISES[disguise].items()
        }
        answer = await client.request(method, path.format(id=person.id), headers=token | said, json={})
        if not is_like_no_route(method, answer):
            wrong.append(f"{method} {path} ({disguise}): {answer.status_code} {answer.text}")
    assert not wrong, "\n".join(wrong)


def is_like_no_route(method: str, answer: httpx2.Response) -> bool:
    """Whether this is what is answered for a route that there is not."""
    if method == "HEAD":
        return answer.status_code == 404
    return answer.status_code == 404 and problem(answer) == "not-found" and answer.json()["detail"] == "Not Found"


async def test_the_internal_port_serves_internal_and_public_routes(settings: Settings, join: Join) -> None:
    person = await join()
    headers = {"Authorization": f"Bearer {secret(settings.internal_token)}"}
    async with http_client(settings.identity_address) as internal:
        found = await internal.get(f"/internal/v1/users/{person.id}/contact", headers=headers)
        assert found.json()["email"] == person.email
        assert (await internal.get("/.well-known/jwks.json")).json()["keys"]
        assert (await internal.get("/v1/me", headers=person.headers)).json()["id"] == person.id


async def test_a_process_that_asks_at_the_public_port_does_not_take_a_person_for_erased(
    settings: Settings, join: Join
) -> None:
    """Else their mails would be dropped without a trace."""
    person, token = await join(), secret(settings.internal_token)
    public, internal = ContactsClient(settings.api_url, token), ContactsClient(settings.identity_address, token)
    try:
        for user_id in (person.id, uuid4()):
            with pytest.raises(Refused) as refused:
                await public.find(user_id)  # type: ignore[arg-type]
            assert refused.value.problem.type is ProblemType.UNAVAILABLE
        assert await internal.find(uuid4()) is None
    finally:
        await public.close()
        await internal.close()


async def test_an_audit_log_at_the_public_port_refuses_the_action(settings: Settings) -> None:
    client = AuditLogClient(settings.api_url, secret(settings.internal_token))
    entry = AuditEntry(user_id=uuid4(), roles=(), action="x", object="x", origin="{}", request_id=None)
    with pytest.raises(Refused):
        await client.record(entry)
    await client.close()
