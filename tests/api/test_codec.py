"""Support reads a booking's payloads through the codec endpoint; no other caller does, and each call is recorded."""

from __future__ import annotations

import base64
import json
from hashlib import sha256
from itertools import count
from typing import Any
from uuid import UUID

import httpx2
import psycopg
from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import Payload

from api.identity.context import open_vault
from config.settings import Settings
from domain.card_numbers import has_card_number
from temporal.encryption import data_converter
from tests.api.conftest import ByToken, Join
from tests.api.people import problem
from tests.platform_client import PlatformClient

DECODE = "/v1/codec/decode"


async def sealed(settings: Settings, value: Any) -> dict[str, Any]:
    """A value as the Temporal UI sends it."""
    [payload] = await data_converter(settings).encode([value])
    return {"payloads": [MessageToDict(payload)]}


async def test_support_reads_what_is_sealed(client: httpx2.AsyncClient, by_token: ByToken, settings: Settings) -> None:
    reader = by_token("support")
    answer = await client.post(DECODE, json=await sealed(settings, "because I say so"), headers=reader.headers)
    assert answer.status_code == 200, answer.text
    [payload] = answer.json()["payloads"]
    assert base64.b64decode(payload["metadata"]["encoding"]) == b"json/plain"
    assert json.loads(base64.b64decode(payload["data"])) == "because I say so"


async def test_every_payload_of_a_real_booking_can_be_read_by_an_operator(
    client: httpx2.AsyncClient, by_token: ByToken, platform: PlatformClient
) -> None:
    event, buyer, operator = await platform.event(), platform.new_buyer(), by_token("operator")
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    history = await platform.saga(booking).fetch_history()
    found = _payloads(json.loads(history.to_json()))
    answer = await client.post(DECODE, json={"payloads": found}, headers=operator.headers)
    assert answer.status_code == 200, answer.text
    plain = [base64.b64decode(each["metadata"]["encoding"]) for each in answer.json()["payloads"]]
    assert b"binary/encrypted" in {base64.b64decode(each["metadata"]["encoding"]) for each in found}
    assert b"binary/encrypted" not in plain


async def test_other_callers_read_nothing(client: httpx2.AsyncClient, by_token: ByToken, settings: Settings) -> None:
    body, buyer = await sealed(settings, "because I say so"), by_token("organizer")
    anonymous = await client.post(DECODE, json=body)
    assert (anonymous.status_code, problem(anonymous)) == (401, "unauthenticated")
    other = await client.post(DECODE, json=body, headers=buyer.headers)
    assert (other.status_code, problem(other)) == (403, "forbidden")


async def test_who_has_read_what_is_written_down(
    client: httpx2.AsyncClient, join: Join, settings: Settings, superuser: psycopg.Connection
) -> None:
    reader = await join("support")
    payloads = [payload for word in ("one", "other") for payload in (await sealed(settings, word))["payloads"]]
    assert (await client.post(DECODE, json={"payloads": payloads}, headers=reader.headers)).status_code == 200
    [(object_, origin)] = superuser.execute(
        "SELECT object, origin FROM audit_log WHERE actor = %s AND action = 'payloads.decoded'", [f"user/{reader.id}"]
    ).fetchall()
    [(wrapped,)] = superuser.execute("SELECT wrapped FROM user_keys WHERE user_id = %s", [reader.id]).fetchall()
    read = json.loads(open_vault(settings).unwrap(UUID(reader.id), wrapped).open("origin", origin))["typed"]
    assert object_ == "payloads/2"
    assert read.split() == ["x" + sha256(base64.b64decode(each["data"])).hexdigest()[:12] for each in payloads]


async def test_a_call_with_as_many_payloads_as_are_allowed_is_written_down(
    client: httpx2.AsyncClient, by_token: ByToken
) -> None:
    body = {"payloads": [{"data": "YQ=="}] * 1000}
    answer = await client.post(DECODE, json=body, headers=by_token("support").headers)
    assert (answer.status_code, len(answer.json()["payloads"])) == (200, 1000), answer.text


async def test_digests_that_look_like_a_cards_number_together_are_written_down(
    client: httpx2.AsyncClient, by_token: ByToken
) -> None:
    def digest(number: int) -> str:
        return sha256(str(number).encode()).hexdigest()[:12]

    first = next(number for number in count() if has_card_number(f"{digest(number)} {digest(number + 1)}"))
    body = {"payloads": [{"data": base64.b64encode(str(first + more).encode()).decode()} for more in (0, 1)]}
    answer = await client.post(DECODE, json=body, headers=by_token("support").headers)
    assert answer.status_code == 200, answer.text


async def test_what_cannot_be_opened_is_refused(client: httpx2.AsyncClient, by_token: ByToken) -> None:
    reader = by_token("support")
    strange = Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"lost"}, data=b"x" * 40)
    for payload in (MessageToDict(strange), {"metadata": {"encoding": "no base64!"}}, {"data": "%"}):
        answer = await client.post(DECODE, json={"payloads": [payload]}, headers=reader.headers)
        assert (answer.status_code, problem(answer)) == (422, "invalid-request")


def _payloads(value: Any) -> list[dict[str, Any]]:
    """All payloads in a history, wherever they stand."""
    if isinstance(value, list):
        return [found for each in value for found in _payloads(each)]
    if not isinstance(value, dict):
        return []
    if "metadata" in value and "encoding" in value["metadata"]:
        return [value]
    return [found for each in value.values() for found in _payloads(each)]
