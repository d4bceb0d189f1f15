"""Webhooks to the merchant: each change of an intent is sent as the provider sends it, until it is accepted.

A manner makes the sender lose, double, delay and so reorder messages, by chance from a seed.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import aiohttp
from aiohttp import web

from sandbox.intents import Intent
from sandbox.store import Row, Store

MOST_TRIES, LONGEST_PAUSE = 20, 60.0
"""Stripe retries for three days with pauses of up to hours; that is too slow for development."""

ANSWER_SECONDS = 10.0
AT_ONCE = 16
IDLE_SECONDS = 1.0

Sign = Callable[[bytes, tuple[str, ...]], Mapping[str, str]]


@dataclass(frozen=True)
class Endpoint:
    """The merchant's endpoint: it receives these types only; each message is signed with every secret."""

    url: str
    secrets: tuple[str, ...]
    types: tuple[str, ...]


NO_ENDPOINT = Endpoint("", (), ())


@dataclass(frozen=True)
class Manner:
    """Simulated losses and delays: chances from 0 to 1, and the longest delay (seconds)."""

    drop: float = 0.0
    double: float = 0.0
    delay_seconds: float = 0.0
    seed: int = 0


class Webhooks:
    """Keeps messages in the store until they are delivered; a restart continues."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._endpoints: dict[str, Endpoint] = {}
        self._signers: dict[str, Sign] = {}
        self._news = asyncio.Event()

    def sign_with(self, face: str, sign: Sign) -> None:
        """Register how a provider API signs a body; the headers are made anew for each attempt."""
        self._signers[face] = sign

    def listen(self, face: str, endpoint: Endpoint | None) -> None:
        """Send a provider API's messages to this endpoint from now on, or nowhere."""
        if endpoint is None:
            self._endpoints.pop(face, None)
        else:
            self._endpoints[face] = endpoint
        self._news.set()

    def behave(self, booking_id: str, manner: Manner) -> None:
        """Deliver a booking's messages in this manner from now on; an empty id means all other bookings."""
        self._store.replace("manners", booking_id=booking_id, manner=json.dumps(asdict(manner)))

    def queue(self, intent: Intent, event_id: str, type_: str, body: bytes, *, url: str | None = None) -> None:
        """Queue a message; call this inside the transaction of the change that it reports.

        Args:
            intent: The intent that has changed.
            event_id: The id of the message; a repeated message has the same.
            type_: Its type, as the provider names it.
            body: As it is sent, byte for byte.
            url: Where to send it, if the intent names an address; else the endpoint of the provider API gets it.
        """
        endpoint = self._endpoints.get(intent.face)
        if url is None and (endpoint is None or type_ not in endpoint.types):
            return
        manner = self._manner_of(intent.booking_id)
        chance = Random(f"{manner.seed}:{intent.seq}:{type_}")
        is_lost, is_doubled = chance.random() < manner.drop, chance.random() < manner.double
        for _ in range(2 if is_doubled else 1):
            due = None if is_lost else time.time() + chance.random() * manner.delay_seconds
            self._store.insert(
                "messages",
                event_id=event_id,
                face=intent.face,
                type=type_,
                intent_id=intent.id,
                booking_id=intent.booking_id,
                body=body,
                url=url,
                due=due,
            )
        self._news.set()

    def resend(self, booking_id: str) -> int:
        """Send all messages about a booking again, including lost ones; returns how many."""
        sql = "UPDATE messages SET due = ?, tries = 0 WHERE booking_id = ?"
        again = self._store.run(sql, time.time(), booking_id).rowcount
        self._news.set()
        return again

    def of_booking(self, booking_id: str) -> list[dict[str, Any]]:
        """The messages about a booking; `status` is the latest response, `due` is null after delivery or loss."""
        columns = "seq, event_id, face, type, intent_id, booking_id, due, tries, status"
        rows = self._store.all(f"SELECT {columns} FROM messages WHERE booking_id = ? ORDER BY seq", booking_id)
        return [dict(row) for row in rows]

    async def running(self, app: web.Application) -> AsyncIterator[None]:
        """Send while the application runs."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session:
            sending = asyncio.create_task(self._send_for_ever(session))
            yield
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending

    async def _send_for_ever(self, session: aiohttp.ClientSession) -> None:
        while True:
            self._news.clear()
            due = self._store.all("SELECT * FROM messages WHERE due <= ? ORDER BY due LIMIT ?", time.time(), AT_ONCE)
            ready = [message for message in due if message["url"] or message["face"] in self._endpoints]
            await asyncio.gather(*(self._send(session, message) for message in ready))
            if not ready:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), self._until_next())

    def _until_next(self) -> float:
        row = self._store.one("SELECT min(due) AS due FROM messages WHERE due > ?", time.time())
        return IDLE_SECONDS if row is None or row["due"] is None else min(IDLE_SECONDS, row["due"] - time.time())

    async def _send(self, session: aiohttp.ClientSession, message: Row) -> None:
        endpoint, body = self._endpoints.get(message["face"], NO_ENDPOINT), bytes(message["body"])
        headers = {"Content-Type": "application/json"} | dict(self._signers[message["face"]](body, endpoint.secrets))
        try:
            async with session.post(message["url"] or endpoint.url, data=body, headers=headers) as answer:
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            status = 0
        tries = message["tries"] + 1
        is_over = 200 <= status < 300 or tries >= MOST_TRIES
        due = None if is_over else time.time() + min(LONGEST_PAUSE, 2.0 ** message["tries"])
        sql = "UPDATE messages SET due = ?, tries = ?, status = ? WHERE seq = ?"
        self._store.run(sql, due, tries, status, message["seq"])

    def _manner_of(self, booking_id: str | None) -> Manner:
        for name in (booking_id, ""):
            row = self._store.one("SELECT manner FROM manners WHERE booking_id = ?", name)
            if row:
                return Manner(**json.loads(row["manner"]))
        return Manner()


def read_endpoint(given: Mapping[str, Any]) -> Endpoint:
    """Raises: ValueError: A field is unknown, missing or of another type."""
    try:
        endpoint = Endpoint(**given)
    except TypeError as error:
        raise ValueError(str(error).replace("Endpoint.__init__() ", "")) from None
    if not isinstance(endpoint.url, str) or not _are_texts(endpoint.secrets) or not _are_texts(endpoint.types):
        raise ValueError("url: a text; secrets and types: lists of texts")
    return Endpoint(endpoint.url, tuple(endpoint.secrets), tuple(endpoint.types))


def read_manner(given: Mapping[str, Any]) -> Manner:
    """Raises: ValueError: A field is unknown or no number."""
    try:
        manner = Manner(**given)
    except TypeError as error:
        raise ValueError(str(error).replace("Manner.__init__() ", "")) from None
    if not all(isinstance(value, int | float) and value >= 0 for value in asdict(manner).values()):
        raise ValueError("drop, double, delay_seconds and seed: numbers of at least 0")
    return manner


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(each, str) for each in value)
