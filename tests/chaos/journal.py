"""Records the buyers' calls and the responses, which must all be explained afterwards."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Any, Literal
from uuid import UUID

import httpx2

Call = Literal["hold", "pay", "cancel"]


class Verdict(StrEnum):
    """The conclusion that a buyer may draw from a response."""

    OK = "ok"
    REFUSED = "refused"
    UNKNOWN = "unknown"  # no answer, or 503: it may have been done, or may yet be


@dataclass(frozen=True)
class Answer:
    """One response.

    Attributes:
        at: Seconds since the start.
        status: The HTTP status; None without a response.
        trouble: The rule that it breaks.
    """

    at: float
    verdict: Verdict
    status: int | None = None
    body: dict[str, Any] = field(default_factory=dict)
    trouble: str = ""

    @property
    def problem(self) -> str:
        """The last part of the problem's type; empty if there is none."""
        return str(self.body.get("type", "")).rpartition("/")[2] if self.status and self.status >= 400 else ""


@dataclass
class Order:
    """One request of a buyer, repeated with one key until the outcome is known."""

    number: int
    buyer: str
    user_id: UUID
    call: Call
    booking: str
    key: str
    body: dict[str, Any]
    answers: list[Answer] = field(default_factory=list)

    @property
    def verdict(self) -> Verdict:
        """The outcome of the last response; unknown before the first."""
        return self.answers[-1].verdict if self.answers else Verdict.UNKNOWN


class Journal:
    """The requests, in memory for the check and in a file for people."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", buffering=1)
        self._start = monotonic()
        self.orders: list[Order] = []

    def close(self) -> None:
        self._file.close()

    def order(self, buyer: str, user_id: UUID, call: Call, booking: str, key: str, body: dict[str, Any]) -> Order:
        """Open a request without sending it."""
        self.orders.append(Order(len(self.orders), buyer, user_id, call, booking, key, body))
        return self.orders[-1]

    async def ask(self, order: Order, send: Callable[[], Awaitable[httpx2.Response]], where: str) -> Answer:
        """Send the call once, and record call and response."""
        about = {"order": order.number, "buyer": order.buyer, "call": order.call, "booking": order.booking}
        self._write(self._now(), about | {"key": order.key, "at_api": where, "asked": order.body})
        try:
            answer = _read(await send(), self._now())
        except httpx2.HTTPError as error:
            answer = Answer(self._now(), Verdict.UNKNOWN, trouble="", body={"lost": type(error).__name__})
        order.answers.append(answer)
        told = {"verdict": answer.verdict, "status": answer.status, "told": answer.body}
        self._write(answer.at, about | told | ({"trouble": answer.trouble} if answer.trouble else {}))
        return answer

    def _now(self) -> float:
        return round(monotonic() - self._start, 3)

    def _write(self, at: float, line: dict[str, Any]) -> None:
        self._file.write(json.dumps({"at": at} | line) + "\n")


def _read(response: httpx2.Response, at: float) -> Answer:
    try:
        body = response.json()
    except ValueError:
        return Answer(at, _verdict(response.status_code), response.status_code, trouble="the answer is not JSON")
    return Answer(at, _verdict(response.status_code), response.status_code, body, _broken_rule(response))


def _verdict(status: int) -> Verdict:
    return Verdict.OK if status < 400 else Verdict.REFUSED if status < 500 else Verdict.UNKNOWN


def _broken_rule(response: httpx2.Response) -> str:
    if response.status_code < 400:
        return ""
    if response.status_code >= 500 and response.status_code != 503:
        return f"status {response.status_code}"
    if response.headers.get("content-type") != "application/problem+json":
        return "a refusal without problem details"
    if response.status_code == 503 and "Retry-After" not in response.headers:
        return "503 without Retry-After"
    return ""
