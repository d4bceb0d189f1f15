"""How a test logs a person in."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import httpx2
import orjson


@dataclass(frozen=True)
class Person:
    id: str
    email: str
    password: str
    access_token: str
    refresh_token: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


async def log_in(client: httpx2.AsyncClient, email: str, password: str) -> Person:
    answer = await client.post("/v1/sessions", json={"email": email, "password": password})
    assert answer.status_code == 201, answer.text
    tokens = answer.json()
    return Person(_subject(tokens["access_token"]), email, password, tokens["access_token"], tokens["refresh_token"])


def _subject(token: str) -> str:
    """Whose token it is, by its own word."""
    claims = token.split(".")[1]
    return str(orjson.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["sub"])


def problem(answer: httpx2.Response) -> str:
    """The last part of the answer's problem type, of an answer that is a well-formed problem."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["title"]
    assert body["detail"]
    return str(body["type"]).rpartition("/")[2]
