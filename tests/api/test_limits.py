"""Callers who call too often, guess passwords or hoard seats are slowed down, and no others."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import httpx2
import orjson
import psycopg
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from adapters.redis.hold_quota import UNLIMITED, Hold, HoldQuota
from adapters.redis.seat_locks import seat_key
from api.edge.rate_counters import Counters
from api.edge.rate_limits import address_of, site_of
from api.identity.login_throttle import LogInThrottle
from config.rate_limits import RATE_LIMITS
from config.settings import Settings, secret
from domain.identity import Role
from stack import Stack
from tests.api.conftest import Join
from tests.api.partners import register
from tests.api.people import Person, problem
from tests.api.test_boundaries import serving
from tests.api.test_changes import _WAITS_FOR_THE_LOG
from tests.api.test_recovery import mailed_token
from tests.api.test_second_factor import enrol
from tests.buyer import CARD_WITH_3DS, DECLINED_CARD, Buyer
from tests.http_client import patient_client
from tests.pace import stretched
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.waiting import eventually

# Windows that do not end while a test runs.
TIGHT = {
    "read": "4/month",
    "register": "1/month",
    "log-in-failures": "3/month",
    "log-in-failures-of-account": "5/month",
}
LIMITS = {name: TIGHT.get(name, "1000/month") for name in RATE_LIMITS}
STRICT = {
    "SEATWRIGHT_RATE_LIMITS": orjson.dumps(LIMITS).decode(),
    "SEATWRIGHT_LIVE_HOLDS": "2",
    "SEATWRIGHT_UNPAID_HOLDS": "4",
    "SEATWRIGHT_ADDRESS_PLACES": "20",
    "SEATWRIGHT_UNPROVEN_ADDRESS_PLACES": "6",
    "SEATWRIGHT_UNPROVEN_EVENT_PERCENT": "10",
    "SEATWRIGHT_FREE_PLACES": "5",
    "SEATWRIGHT_CHARGES_OF_BOOKING": "3",
    "SEATWRIGHT_ORGANIZER_PLACES": "40",
    "SEATWRIGHT_PAYMENT_WINDOW": "120",  # longer than the holds of these tests on any machine
}


@pytest.fixture(scope="module")
def strict_url(stack: Stack) -> Iterator[str]:
    """An API process with limits that a test can reach."""
    name = f"api-strict-{uuid4().hex[:6]}"
    spawned = stack.spawn(name, "api", env=STRICT)
    yield f"http://127.0.0.1:{spawned.ports['api']}"
    stack.stop(name)


@pytest.fixture
async def strict(strict_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    async with patient_client(strict_url) as opened:
        yield opened


def from_somewhere() -> dict[str, str]:
    """The header by which the proxy in front of us, which is on this machine, names the caller's address."""
    return {"X-Forwarded-For": f"10.{random.randrange(256)}.{random.randrange(256)}.{random.randrange(1, 255)}"}


@pytest.mark.parametrize(
    ("host", "subject"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_a_limit_is_of_an_ipv4_address_or_an_ipv6_network(host: str, subject: str) -> None:
    assert address_of({"client": (host, 0)}) == subject


async def test_one_customer_s_many_ipv6_networks_register_together(strict: httpx2.AsyncClient) -> None:
    site = f"2001:db8:{random.randrange(1, 2**16):x}"
    assert site_of({"client": (f"{site}:1::1", 0)}) == f"{site}::/48"

    async def register_from(address: str) -> int:
        return (await strict.post("/v1/users", json={}, headers={"X-Forwarded-For": address})).status_code

    assert [await register_from(f"{site}:1::{number}") for number in range(1, 13)] == [422] + [429] * 11
    assert [await register_from(f"{site}:{number:x}::1") for number in range(2, 13)] == [422] * 9 + [429] * 2
    assert await register_from(f"2001:db9:{random.randrange(1, 2**16):x}:1::1") == 422


async def test_a_caller_beyond_the_limit_gets_retry_after_and_no_other_caller_does(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    busy, other = platform.new_buyer(), platform.new_buyer()
    for left in (3, 2, 1, 0):
        answer = await strict.get("/v1/me/bookings", headers=busy.headers)
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"read";q=4;w=2592000'
        assert answer.headers["ratelimit"].startswith(f'"read";r={left};t=')
    refused = await strict.get("/v1/me/bookings", headers=busy.headers)
    assert (refused.status_code, problem(refused)) == (429, "rate-limited")
    for spelling in ("bearer ", "Bearer  ", "Bearer \t "):
        respelled = {"Authorization": busy.headers["Authorization"].replace("Bearer ", spelling)} | from_somewhere()
        assert (await strict.get("/v1/me/bookings", headers=respelled)).status_code == 429, spelling
    assert refused.headers["ratelimit"].startswith('"read";r=0;t=')
    assert 0 < int(refused.headers["retry-after"]) <= 2592000
    assert (await strict.get("/v1/me/bookings", headers=other.headers)).status_code == 200
    assert (await strict.get("/livez", headers=busy.headers)).status_code == 200


async def test_callers_without_a_log_in_are_limited_by_their_address(strict: httpx2.AsyncClient) -> None:
    busy, other = from_somewhere(), from_somewhere()
    answers = [await strict.get("/.well-known/jwks.json", headers=busy) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    forged = busy | {"Authorization": f"Bearer {uuid4()}"}
    assert (await strict.get("/.well-known/jwks.json", headers=forged)).status_code == 429
    assert (await strict.get("/.well-known/jwks.json", headers=other)).status_code == 200


class Account:
    """An account, and tries to log in to it."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self.email, self.password = f"{uuid4()}@example.test", f"right {uuid4()}"

    async def register(self) -> str:
        body = {"email": self.email, "password": self.password, "name": "Owner"}
        answer = await self._http.post("/v1/users", json=body, headers=from_somewhere())
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def opened(self, address: dict[str, str], password: str | None = None) -> httpx2.Response:
        body = {"email": self.email, "password": password or self.password}
        return await self._http.post("/v1/sessions", json=body, headers=address)

    async def log_in(self, address: dict[str, str], password: str | None = None) -> int:
        return (await self.opened(address, password)).status_code


@pytest.mark.parametrize("exists", [True, False])
async def test_guessing_a_password_ends_after_some_tries_also_for_an_unknown_account(
    strict: httpx2.AsyncClient, exists: bool
) -> None:
    account, guesser = Account(strict), from_somewhere()
    if exists:
        await account.register()
    answers = await asyncio.gather(*(account.log_in(guesser, f"wrong guess {n}") for n in range(6)))
    assert sorted(answers) == [401] * 3 + [429] * 3
    assert await account.log_in(guesser) == 429


async def test_a_client_s_page_is_no_way_around_what_guessing_costs(
    strict: httpx2.AsyncClient, settings: Settings
) -> None:
    account, guesser = Account(strict), from_somewhere()
    await account.register()
    asked = (await register(settings, strict)).request("v" * 43) | {"decision": "allow", "email": account.email}

    async def guess(password: str, **wrong: str) -> int:
        form = asked | wrong | {"password": password}
        return (await strict.post("/v1/oauth/authorize", data=form, headers=guesser)).status_code

    assert await guess(account.password, redirect_uri="https://evil.example.test") == 400, "whether it was right or not"
    assert await guess("a wrong guess", redirect_uri="https://evil.example.test") == 400
    assert [await guess("a wrong guess") for _ in range(3)] == [401] * 3
    assert await guess(account.password) == 429
    assert await account.log_in(guesser) == 429, "both doors count together"


def body(email: str, password: str) -> str:
    return orjson.dumps({"email": email, "password": password}).decode()


DISGUISES: dict[str, Callable[[str, str], bytes]] = {
    "UTF-16": lambda email, password: body(email, password).encode("utf-16"),
    "UTF-32 without a mark": lambda email, password: body(email, password).encode("utf-32-be"),
    "a byte order mark": lambda email, password: body(email, password).encode("utf-8-sig"),
    "letters that fold to others": lambda email, password: body(email.replace("s", "\u017f"), password).encode(),
    "ligatures": lambda email, password: body(email.replace("st", "\ufb06"), password).encode(),
}


@pytest.mark.parametrize("disguise", sample(list(DISGUISES), 3, of="disguises of an address"))
async def test_no_spelling_of_an_address_gives_more_tries(strict: httpx2.AsyncClient, disguise: str) -> None:
    account, guesser = Account(strict), from_somewhere()
    await account.register()
    assert [await account.log_in(guesser, "a wrong guess") for _ in range(3)] == [401] * 3
    content, kind = DISGUISES[disguise](account.email, account.password), {"Content-Type": "application/json"}
    refused = await strict.post("/v1/sessions", content=content, headers=guesser | kind)
    assert (refused.status_code, problem(refused)) == (429, "rate-limited")


async def test_a_form_that_reads_as_something_else_is_no_way_around_it(
    strict: httpx2.AsyncClient, settings: Settings
) -> None:
    account, guesser = Account(strict), from_somewhere() | {"Content-Type": "application/x-www-form-urlencoded"}
    await account.register()
    asked = (await register(settings, strict)).request("v" * 43) | {"decision": "allow", "email": account.email}
    form = f'"&{urlencode(asked | {"password": "a wrong guess"})}&x="'
    answers = [await strict.post("/v1/oauth/authorize", content=form, headers=guesser) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [401] * 3 + [429] * 2


ASKED_FOR_THE_PASSWORD: list[tuple[str, str, dict[str, str]]] = [
    ("PUT", "/v1/me/password", {"password": "another battery staple"}),
    ("POST", "/v1/me/second-factor", {}),
    ("DELETE", "/v1/me/second-factor", {"code": "123456"}),
    ("DELETE", "/v1/me", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), sample(ASKED_FOR_THE_PASSWORD, 2, of="asked for the password"))
async def test_a_stolen_access_token_is_no_way_to_guess_the_password(
    strict: httpx2.AsyncClient, method: str, path: str, body: dict[str, str]
) -> None:
    account, home, thief = Account(strict), from_somewhere(), from_somewhere()
    await account.register()
    token = (await account.opened(home)).json()["access_token"]
    headers = thief | {"Authorization": f"Bearer {token}"}
    word = "old_password" if path.endswith("/password") else "password"
    guesses = [
        (await strict.request(method, path, json=body | {word: f"wrong guess {n}"}, headers=headers)).status_code
        for n in range(5)
    ]
    assert guesses == [403] * 3 + [429] * 2
    right = await strict.request(method, path, json=body | {word: account.password}, headers=headers)
    assert (right.status_code, problem(right)) == (429, "rate-limited")
    assert await account.log_in(thief) == 429, "every door counts"
    assert await account.log_in(home) == 201


async def test_after_a_reset_by_mail_guesses_of_others_do_not_lock_the_owner_out(
    strict: httpx2.AsyncClient, settings: Settings, superuser: psycopg.Connection
) -> None:
    account, travelling = Account(strict), from_somewhere()
    user_id = await account.register()
    guesses = [await account.log_in(from_somewhere(), "a wrong guess") for _ in range(6)]
    assert guesses[-1] == await account.log_in(travelling) == 429
    await strict.post("/v1/password-resets", json={"email": account.email}, headers=travelling)

    async def token() -> str | None:
        asked = superuser.execute(
            "SELECT id FROM mail_tokens WHERE user_id = %s AND purpose = 'password_reset'", [user_id]
        ).fetchall()
        return await mailed_token(strict, settings, superuser, user_id) if asked else None

    body = {"token": await eventually(token), "password": account.password}
    assert (await strict.post("/v1/password-resets/confirm", json=body, headers=travelling)).status_code == 204
    assert await account.log_in(travelling) == 201


async def test_who_has_a_second_factor_may_log_in_again_and_again(strict: httpx2.AsyncClient) -> None:
    account, home = Account(strict), from_somewhere()
    await account.register()
    body = {"email": account.email, "password": account.password}
    opened = await strict.post("/v1/sessions", json=body, headers=home)
    owner = Person("", account.email, account.password, opened.json()["access_token"], "")
    await enrol(strict, owner)
    assert {await account.log_in(home) for _ in range(5)} == {401}, "asked for the code: no failure"
    assert [await account.log_in(from_somewhere(), "a wrong guess") for _ in range(6)] == [401] * 5 + [429]
    assert await account.log_in(home) == 401, "at home still"


async def test_guessing_from_many_addresses_ends_and_does_not_lock_the_owner_out(
    strict: httpx2.AsyncClient,
) -> None:
    account, home = Account(strict), from_somewhere()
    await account.register()
    assert await account.log_in(home) == 201
    guesses = [await account.log_in(from_somewhere(), "a wrong guess") for _ in range(8)]
    assert guesses == [401] * 5 + [429] * 3
    assert await account.log_in(home) == 201


async def test_an_address_is_known_for_90_days_from_the_last_log_in_there(settings: Settings) -> None:
    limited = settings.model_copy(update={"rate_limits": LIMITS})
    counters, account, address = Counters(limited), uuid4().bytes, "192.0.2.7"
    throttle, day = LogInThrottle(limited, counters), timedelta(days=1)
    key = f"seatwright:limits:home/{sha256(account + address.encode()).hexdigest()}"
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        for _ in range(2):
            await throttle.is_at_home(account, address)
            assert await redis.ttl(key) > 89 * day.total_seconds()
            await redis.expire(key, day)  # as it is 89 days later
    await counters.close()


async def test_the_events_to_come_of_an_organizer_have_only_so_many_places(
    strict: httpx2.AsyncClient, platform: PlatformClient, new_event: dict[str, Any]
) -> None:
    organizer, other = (platform.new_buyer(Role.ORGANIZER) for _ in range(2))
    key = organizer.headers | {"Idempotency-Key": str(uuid4())}
    first = await strict.post("/v1/events", json=new_event, headers=key)
    assert first.status_code == 201
    assert (await strict.post("/v1/events", json=new_event, headers=organizer.headers)).status_code == 201
    refused = await strict.post("/v1/events", json=new_event, headers=organizer.headers)
    assert (refused.status_code, problem(refused)) == (409, "wrong-state")
    assert "40 places together, and yours have 32" in refused.json()["detail"]
    assert (await strict.post("/v1/events", json=new_event, headers=key)).json()["id"] == first.json()["id"]
    assert (await strict.post("/v1/events", json=new_event, headers=other.headers)).status_code == 201


async def test_a_draft_that_waits_for_the_audit_log_keeps_no_other_draft_waiting(
    strict: httpx2.AsyncClient, platform: PlatformClient, new_event: dict[str, Any], superuser: psycopg.Connection
) -> None:
    organizer = platform.new_buyer(Role.ORGANIZER)
    with superuser.transaction():
        superuser.execute("SELECT pg_advisory_xact_lock(hashtext('audit-log'))")
        drafts = [
            asyncio.create_task(strict.post("/v1/events", json=new_event, headers=organizer.headers)) for _ in range(2)
        ]
        await eventually(lambda: superuser.execute(_WAITS_FOR_THE_LOG).fetchone())
        assert superuser.execute(_ADVISORY_LOCKS, [f"places of {organizer.user_id}"]).fetchall() == []
    assert {(await draft).status_code for draft in drafts} == {201}


_ADVISORY_LOCKS = """
    SELECT granted FROM pg_locks
    WHERE locktype = 'advisory' AND (classid::bigint << 32) | objid::bigint = hashtextextended(%s, 0)
"""


async def test_logging_in_again_and_again_is_no_guessing(strict: httpx2.AsyncClient) -> None:
    account, home = Account(strict), from_somewhere()
    await account.register()
    assert {await account.log_in(home) for _ in range(6)} == {201}, "as often as guesses are refused"


async def test_a_buyer_holds_only_a_few_bookings_of_an_event_also_by_simultaneous_calls(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer().at(strict)
    answers = await asyncio.gather(*(buyer.hold(event, f"A-1-{n}") for n in range(1, 7)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [429] * 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert problem(refused) == "too-many-holds"
    assert 0 < int(refused.headers["retry-after"]) <= 120
    another = await platform.event()
    assert (await buyer.hold(another, "A-1-1")).status_code == 201


async def test_two_simultaneous_requests_with_one_key_make_one_hold_that_counts(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(rows=4), platform.new_buyer().at(strict)
    answers: list[int] = []
    for row in range(1, 5):
        seats, key = (f"A-{row}-1", f"A-{row}-2"), str(uuid4())
        both = await asyncio.gather(buyer.hold(event, seats[0], key=key), buyer.hold(event, *seats, key=key))
        answers += [answer.status_code for answer in both]
    assert answers.count(201) == 2
    assert answers[-2:] == [429, 429]


async def test_a_request_that_is_refused_does_not_hide_the_hold_of_one_with_its_key(
    strict: httpx2.AsyncClient, platform: PlatformClient, settings: Settings
) -> None:
    """The bait is free in Redis, and another buyer has it: so the first request is counted, and its saga is refused."""
    event, buyer = await platform.event(rows=6), platform.new_buyer().at(strict)
    bait, answers = "A-6-1", Counter[int]()
    await platform.new_buyer().held(event, bait)
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        await redis.delete(seat_key(UUID(event), bait))
    for row in range(1, 6):
        seats, key = [f"A-{row}-{number}" for number in range(1, 5)], str(uuid4())
        both = await asyncio.gather(
            buyer.hold(event, *seats[1:], bait, key=key), *(buyer.hold(event, *seats, key=key) for _ in range(2))
        )
        answers.update({answer.status_code for answer in both})  # the two share one booking
    assert (answers[201], answers[429]) == (2, 3)


async def test_a_repeated_request_is_no_further_hold(strict: httpx2.AsyncClient, platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer().at(strict)
    assert {(await buyer.hold(event, "A-1-1", key="one")).status_code for _ in range(4)} == {201}
    assert (await buyer.hold(event, "A-1-2")).status_code == 201


async def test_who_pays_may_hold_more(strict: httpx2.AsyncClient, platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer().at(strict)
    for number in range(1, 6):  # one more than UNPAID_HOLDS
        await buyer.bought(event, f"A-1-{number}")


@pytest.mark.thorough
async def test_who_pays_after_three_d_secure_may_hold_more(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    for number in range(1, 6):
        booking = await buyer.at(strict).held(event, f"A-1-{number}")
        answer = await buyer.at(strict).pay(booking, CARD_WITH_3DS)
        await platform.provider.act(answer.json()["next_action"]["url"], "approve")
        await buyer.ends_as(booking, "confirmed")


async def test_a_payment_that_completes_by_itself_counts_as_no_unpaid_hold(
    strict: httpx2.AsyncClient, platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = await buyer.at(strict).held(event, "A-1-1")
    answer = await buyer.at(strict).pay(booking, CARD_WITH_3DS)
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        quota = HoldQuota(redis, UNLIMITED)
        other = Hold(buyer.user_id, UUID(event), 160, uuid4(), 1, 60, "192.0.2.1", is_proven=True, request_id="other")
        assert await quota.counted(other) == [UUID(booking)]
        await platform.provider.act(answer.json()["next_action"]["url"], "approve")
        await eventually(lambda: _is_over(buyer, booking), within=30)

        async def forgotten() -> bool:
            return await quota.counted(other) == []

        await eventually(forgotten, within=5)


async def _is_over(buyer: Buyer, booking: str) -> bool:
    return await buyer.status(booking) == "confirmed"


async def test_a_buyer_who_holds_and_gives_up_again_and_again_has_to_wait(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer().at(strict)
    for _ in range(4):
        assert (await buyer.cancel(await buyer.held(event, "A-1-1"))).status_code == 200
    refused = await buyer.hold(event, "A-1-1")
    assert (refused.status_code, problem(refused)) == (429, "too-many-holds")
    assert (await platform.new_buyer().at(strict).hold(event, "A-1-1")).status_code == 201


async def test_seats_that_one_did_not_get_do_not_count(strict: httpx2.AsyncClient, platform: PlatformClient) -> None:
    event, unlucky = await platform.event(), platform.new_buyer().at(strict)
    await platform.new_buyer().held(event, "A-1-1")
    assert {(await unlucky.hold(event, "A-1-1")).status_code for _ in range(6)} == {409}
    assert (await unlucky.hold(event, "A-1-2")).status_code == 201


async def test_places_that_are_being_paid_count_after_their_hold_has_ended(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(hold_seconds=stretched(3)), platform.new_buyer().at(strict)
    paying = await asyncio.gather(*(buyer.held(event, f"A-1-{number}") for number in (1, 2)))
    shown = await asyncio.gather(*map(buyer.booking, paying))
    answers = await asyncio.gather(*(buyer.pay(booking, CARD_WITH_3DS) for booking in paying))
    assert [answer.status_code for answer in answers] == [202, 202]
    ends = [datetime.fromisoformat(booking["expires_at"]) for booking in shown]
    await eventually(lambda: datetime.now(UTC) > max(ends))
    refused = await buyer.hold(event, "A-1-3")
    assert (refused.status_code, problem(refused)) == (429, "too-many-holds")
    assert int(refused.headers["retry-after"]) > 0
    assert (await buyer.abandon(paying[0])).status_code == 200
    await buyer.ends_as(paying[0], "expired")
    assert (await buyer.hold(event, "A-1-3")).status_code == 201


async def test_a_buyer_with_an_unproven_address_holds_less(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer(is_proven=False).at(strict)
    assert (await buyer.hold(event, "A-1-1")).status_code == 201
    refused = await buyer.hold(event, "A-1-2")
    assert (refused.status_code, problem(refused)) == (429, "too-many-holds")
    assert "confirm your email address" in refused.json()["detail"]


async def hold_together(
    http: httpx2.AsyncClient, platform: PlatformClient, event: str, places: int, address: dict[str, str], proven: bool
) -> int:
    """The status of a hold by a new buyer at this address."""
    buyer = platform.new_buyer(is_proven=proven).at(http)
    buyer.headers |= address
    return (await buyer.hold(event, quantities={"Standing": places})).status_code


async def test_unproven_buyers_at_one_address_together_hold_no_more_than_its_cap(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, here, there = await platform.event(), from_somewhere(), from_somewhere()
    answers = [await hold_together(strict, platform, event, 3, here, proven=False) for _ in range(3)]
    assert answers == [201, 201, 429]
    assert await hold_together(strict, platform, event, 3, there, proven=False) == 201
    answers = [await hold_together(strict, platform, event, 5, here, proven=True) for _ in range(3)]
    assert answers == [201, 201, 429]
    assert await hold_together(strict, platform, event, 4, here, proven=True) == 201


async def test_unproven_buyers_at_all_addresses_leave_most_of_an_event_to_the_others(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyers = await platform.event(), [platform.new_buyer(is_proven=False).at(strict) for _ in range(5)]
    for buyer in buyers:
        buyer.headers |= from_somewhere()
    answers = await asyncio.gather(*(buyer.hold(event, quantities={"Standing": 4}) for buyer in buyers))
    assert sorted(answer.status_code for answer in answers) == [201] * 4 + [429]  # of 160 places
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert problem(refused) == "too-many-holds"
    assert "confirm your email address" in refused.json()["detail"]
    assert (await platform.new_buyer().at(strict).hold(event, quantities={"Standing": 20})).status_code == 201

    held = [
        (buyer, answer.json()["id"]) for buyer, answer in zip(buyers, answers, strict=True) if answer is not refused
    ]
    (first, cancelled), (second, paid), *_ = held
    assert await hold_together(strict, platform, event, 1, from_somewhere(), proven=False) == 429
    assert (await first.cancel(cancelled)).status_code == 200
    assert await hold_together(strict, platform, event, 4, from_somewhere(), proven=False) == 201
    assert (await second.pay(paid)).status_code == 200
    assert await hold_together(strict, platform, event, 4, from_somewhere(), proven=False) == 201


async def test_a_hold_larger_than_all_unproven_buyers_may_have_asks_for_a_confirmed_address(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer(is_proven=False).at(strict)
    refused = await buyer.hold(event, quantities={"Standing": 17})  # 16 of 160 places
    assert (refused.status_code, problem(refused)) == (403, "forbidden")
    assert "More than 16 places of this event need a confirmed email address" in refused.json()["detail"]
    assert "retry-after" not in refused.headers
    assert (await platform.new_buyer().at(strict).hold(event, quantities={"Standing": 17})).status_code == 201


async def test_a_hold_of_an_unproven_buyer_counts_in_its_event_until_it_ends(
    strict: httpx2.AsyncClient, platform: PlatformClient, settings: Settings
) -> None:
    event, buyer = await platform.event(hold_seconds=1800), platform.new_buyer(is_proven=False).at(strict)
    answer = await buyer.hold(event, quantities={"Standing": 2})
    ends = datetime.fromisoformat(answer.json()["expires_at"]).timestamp() * 1000
    async with Redis.from_url(secret(settings.redis_url)) as redis:
        places: Any = await redis.zrange(f"seatwright:hoarding:{{{event}}}:unproven", 0, -1, withscores=True)
    assert len(places) == 2
    assert all(abs(score - ends) < 1000 for _, score in places), "the worker has recorded that it is made"


async def test_an_unproven_hold_that_expires_makes_room_for_others(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event = await platform.event(hold_seconds=stretched(3), standing=40)  # of 100 places
    for _ in range(2):
        assert await hold_together(strict, platform, event, 5, from_somewhere(), proven=False) == 201
    assert await hold_together(strict, platform, event, 1, from_somewhere(), proven=False) == 429

    async def has_room() -> bool:
        return await hold_together(strict, platform, event, 5, from_somewhere(), proven=False) == 201

    await eventually(has_room, within=60, every=1)


async def test_one_user_has_only_so_many_places_of_an_event_for_nothing(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer, other = await platform.event(standing_price=0), platform.new_buyer().at(strict), platform.new_buyer()
    mine = await buyer.bought(event, quantities={"Standing": 3})
    await buyer.bought(event, "A-1-1", quantities={"Standing": 2})
    refused = await buyer.hold(event, "A-1-2", quantities={"Standing": 1})
    assert (refused.status_code, problem(refused)) == (409, "wrong-state")
    assert "may have 5 places of this event that cost nothing" in refused.json()["detail"]
    assert (await buyer.hold(event, "A-1-2")).status_code == 201, "what is paid has no such limit"
    assert (await other.at(strict).hold(event, quantities={"Standing": 5})).status_code == 201

    assert (await buyer.refund(mine["id"], mine["tickets"][0]["id"])).status_code == 202
    await buyer.ends_as(mine["id"], "partially_refunded")
    assert (await buyer.hold(event, quantities={"Standing": 2})).status_code == 409
    assert (await buyer.hold(event, quantities={"Standing": 1})).status_code == 201


async def test_simultaneous_holds_and_an_exchange_are_no_way_to_more_free_places(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(cheaper=0), platform.new_buyer().at(strict)
    mine = await buyer.bought(event, "A-1-1", *(f"B-1-{number}" for number in range(1, 4)))
    answers = await asyncio.gather(*(buyer.hold(event, f"B-2-{number}", f"B-3-{number}") for number in (1, 2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]

    tickets = {ticket["seat"]: ticket["id"] for ticket in mine["tickets"]}
    refused = await buyer.exchange(mine["id"], tickets["A-1-1"], "B-1-4", method=None)
    assert (refused.status_code, problem(refused)) == (409, "wrong-state")
    assert (await buyer.exchange(mine["id"], tickets["B-1-1"], "B-1-4", method=None)).status_code == 200


async def test_places_that_cost_nothing_need_a_confirmed_email_address(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(standing_price=0), platform.new_buyer(is_proven=False).at(strict)
    for seats in ((), ("A-1-1",)):
        refused = await buyer.hold(event, *seats, quantities={"Standing": 1})
        assert (refused.status_code, problem(refused)) == (403, "forbidden")
        assert "confirm it, then log in again" in refused.json()["detail"]
    assert (await buyer.hold(event, "A-1-1")).status_code == 201


async def test_what_has_ended_makes_room_at_its_address(strict: httpx2.AsyncClient, platform: PlatformClient) -> None:
    event, here = await platform.event(hold_seconds=stretched(3)), from_somewhere()
    assert await hold_together(strict, platform, event, 6, here, proven=False) == 201
    assert await hold_together(strict, platform, event, 1, here, proven=False) == 429

    async def has_room() -> bool:
        return await hold_together(strict, platform, event, 6, here, proven=False) == 201

    await eventually(has_room, within=60, every=1)


async def test_payments_and_exchanges_of_one_booking_share_a_limit_of_tries_in_vain(
    strict: httpx2.AsyncClient, platform: PlatformClient
) -> None:
    event, buyer = await platform.event(), platform.new_buyer().at(strict)
    booking = await buyer.held(event, "B-1-1")
    keys = [str(uuid4()) for _ in range(2)]
    for key in keys:
        assert (await buyer.pay(booking, DECLINED_CARD, key=key)).status_code == 402
    assert [(await buyer.pay(booking, DECLINED_CARD, key=key)).status_code for key in keys] == [402, 402]
    ticket = (await buyer.pay(booking)).json()["tickets"][0]["id"]  # a success does not count
    declined = await buyer.exchange(booking, ticket, "A-1-1", method=DECLINED_CARD)
    assert (declined.status_code, declined.headers["ratelimit-policy"][:5]) == (402, '"pay"')
    for _ in range(2):
        refused = await buyer.exchange(booking, ticket, "A-1-1", method=DECLINED_CARD)
        assert (refused.status_code, problem(refused)) == (429, "rate-limited")
        assert 0 < int(refused.headers["retry-after"]) <= 900
    assert (await buyer.exchange(booking, ticket, "B-1-2", method=None)).status_code == 200


async def test_one_card_is_tried_only_so_often_by_any_buyer(settings: Settings, platform: PlatformClient) -> None:
    event, answers = await platform.event(), list[int]()
    # Of its own: the other tests of this module pay with the same few cards.
    async with serving(settings.model_copy(update={"charges_of_card": 3}), "reservation") as http:
        for number in range(1, 6):
            buyer = platform.new_buyer().at(http)
            booking = await buyer.held(event, f"A-1-{number}")
            answers.append((await buyer.pay(booking, "pm_card_visa_chargeDeclinedLostCard")).status_code)
    assert answers == [402] * 3 + [429] * 2


CHANGE = {"old_password": "a wrong guess", "password": "another battery staple"}


async def test_without_redis_sessions_go_on_and_passwords_cannot_be_guessed(
    settings: Settings, platform: PlatformClient, join: Join
) -> None:
    event, person = await platform.event(), await join()
    nowhere = {"rate_limits": LIMITS, "redis_url": SecretStr("redis://127.0.0.1:9/0")}
    async with serving(settings.model_copy(update=nowhere), "identity", "catalogue") as http:
        assert {(await http.get(f"/v1/events/{event}")).status_code for _ in range(6)} == {200}
        answer = await http.post("/v1/sessions", json={"email": "a@example.test", "password": "a wrong guess"})
        assert (answer.status_code, problem(answer)) == (503, "unavailable")
        answer = await http.put("/v1/me/password", json=CHANGE, headers=person.headers)
        assert (answer.status_code, problem(answer)) == (503, "unavailable")
        form = {"grant_type": "refresh_token", "refresh_token": person.refresh_token}
        assert (await http.post("/v1/oauth/token", data=form)).status_code == 200, "who is logged in stays it"
