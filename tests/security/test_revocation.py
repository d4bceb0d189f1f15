"""What has ended bites within seconds in every process, though no request asks a database about its token."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import httpx2
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from structlog.testing import capture_logs
from uuid_utils import UUID, uuid7

from api.app import create_app
from api.auth.key_sync import Ways, latest
from api.identity.demo_accounts import PASSWORD
from config.settings import Settings
from db.engine import open_engine
from tests.api.conftest import Join
from tests.api.people import Person, log_in
from tests.http_client import is_ready
from tests.network import Line, Network
from tests.waiting import eventually

SECONDS = 5
LOST = [
    ("redis", Line.black_hole),
    ("api-internal", Line.cut),
    pytest.param("redis", Line.cut, marks=pytest.mark.thorough),
    pytest.param("api-internal", Line.black_hole, marks=pytest.mark.thorough),
]
"""A way on which a process learns of revocations, and what is wrong with it."""


@asynccontextmanager
async def reservation_alone(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """An API process that cannot ask identity's database."""
    app = create_app(settings, {"reservation"})
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as client,
    ):
        await eventually(partial(is_ready, client))
        yield client


async def status(client: httpx2.AsyncClient, person: Person) -> int:
    return (await client.get("/v1/me/bookings", headers=person.headers)).status_code


async def refresh(client: httpx2.AsyncClient, token: str, headers: dict[str, str] | None = None) -> httpx2.Response:
    form = {"grant_type": "refresh_token", "refresh_token": token}
    return await client.post("/v1/oauth/token", data=form, headers=headers)


async def test_a_stolen_refresh_token_ends_the_session_s_access_tokens_in_every_process(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    other_session = await log_in(client, person.email, person.password)
    async with reservation_alone(settings) as other:
        assert [await status(client, person), await status(other, person)] == [200, 200]
        assert (await refresh(client, person.refresh_token)).status_code == 200
        other_program = {"User-Agent": "Thief/1.0"}
        assert (await refresh(client, person.refresh_token, other_program)).status_code == 400, "used twice"
        for process in (client, other):
            await eventually(partial(_is_out, process, person), within=SECONDS)
            assert await status(process, other_session) == 200, "another log-in goes on"


async def test_an_ended_session_ends_its_access_tokens(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join()
    assert await status(client, person) == 200
    engine = open_engine(settings.database_url("identity"), serves_callers=False)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE sessions SET ended_at = now() WHERE user_id = :id"), {"id": person.id})
    await engine.dispose()
    await eventually(partial(_is_out, client, person), within=SECONDS)


async def test_a_withdrawn_role_is_in_no_token_and_the_person_stays_logged_in(
    settings: Settings, client: httpx2.AsyncClient, join: Join
) -> None:
    person = await join("support")
    operator = await log_in(client, "operator@example.test", PASSWORD)
    async with reservation_alone(settings) as other:
        assert await status(other, person) == 200
        path = f"/v1/users/{person.id}/roles"
        assert (await client.put(path, json={"roles": ["customer"]}, headers=operator.headers)).status_code == 200
        for process in (client, other):
            await eventually(partial(_is_out, process, person), within=SECONDS)
        tokens = (await refresh(client, person.refresh_token)).json()
        again = await client.get("/v1/me/bookings", headers={"Authorization": f"Bearer {tokens['access_token']}"})
        assert again.status_code == 200


async def test_a_role_ends_also_in_tokens_of_a_process_whose_clock_is_ahead(
    settings: Settings, client: httpx2.AsyncClient, join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, ahead_by = await join("support"), 60
    now = time.time

    def id_of_then(*, nanoseconds: int | None = None) -> UUID:
        return uuid7(nanoseconds=nanoseconds or time.time_ns() + ahead_by * 10**9)

    operator = await log_in(client, "operator@example.test", PASSWORD)
    app = create_app(settings, {"identity"})
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://api") as ahead,
    ):
        monkeypatch.setattr(time, "time", lambda: now() + ahead_by)
        monkeypatch.setattr("api.auth.tokens.uuid7", id_of_then)
        early = await log_in(ahead, person.email, person.password)
        monkeypatch.undo()
    assert await status(client, early) == 200
    path = f"/v1/users/{person.id}/roles"
    assert (await client.put(path, json={"roles": ["customer"]}, headers=operator.headers)).status_code == 200
    await eventually(partial(_is_out, client, early), within=SECONDS)


async def test_who_gets_a_role_keeps_the_tokens(client: httpx2.AsyncClient, join: Join) -> None:
    person = await join()
    operator = await log_in(client, "operator@example.test", PASSWORD)
    roles = {"roles": ["customer", "organizer"]}
    assert (await client.put(f"/v1/users/{person.id}/roles", json=roles, headers=operator.headers)).status_code == 200
    demoted = await join("support")
    path = f"/v1/users/{demoted.id}/roles"
    await client.put(path, json={"roles": ["customer"]}, headers=operator.headers)
    await eventually(partial(_is_out, client, demoted), within=SECONDS)  # the revocation has arrived
    assert await status(client, person) == 200


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_revocations_of_a_person_the_last_counts_whatever_source_is_late(order: int) -> None:
    twice, once, other = (uuid4() for _ in range(3))
    sources = [{twice: 1.0, once: 5.0}, {twice: 2.0, other: 3.0}]
    assert latest(*sources[::order]) == {twice: 2.0, once: 5.0, other: 3.0}
    assert latest() == {}


async def test_a_way_that_is_lost_is_in_the_log_once_and_again_when_it_is_back() -> None:
    ways, person = Ways(), uuid4()
    lost: BaseException = ConnectionError("no route")

    async def read(redis: BaseException | None, identity: BaseException | None) -> list[tuple[str, str | None]]:
        async def way(error: BaseException | None) -> dict[uuid.UUID, float]:
            if error:
                raise error
            return {person: 1.0}

        with capture_logs() as logs:
            await ways.read({"redis": way(redis), "identity": way(identity)})
        assert {each["log_level"] for each in logs} <= {"warning"}
        return [(each["way"], each.get("error")) for each in logs]

    assert await read(None, None) == []
    assert await read(lost, None) == [("redis", "ConnectionError")]
    assert await read(lost, None) == []
    with pytest.raises(ConnectionError):
        await read(lost, TimeoutError())
    assert await read(lost, None) == [("identity", None)]
    assert await read(None, None) == [("redis", None)]
    assert await read(None, None) == []


@pytest.mark.parametrize(("lost", "fault"), LOST)
async def test_a_revocation_arrives_although_one_of_its_two_ways_is_lost(
    settings: Settings,
    client: httpx2.AsyncClient,
    join: Join,
    network: Network,
    lost: str,
    fault: Callable[[Line], Awaitable[None]],
) -> None:
    person, lines = await join(), await two_ways(network)
    async with reservation_alone(behind(network, settings)) as other:
        assert await status(other, person) == 200
        await fault(lines[lost])
        assert (await client.delete("/v1/me/sessions", headers=person.headers)).status_code == 204
        await eventually(partial(_is_out, other, person), within=SECONDS)


async def test_without_both_ways_a_process_goes_on_with_what_it_knows(
    settings: Settings, client: httpx2.AsyncClient, join: Join, network: Network
) -> None:
    """The negative control: the process knows of a revocation by these ways alone."""
    person, earlier, lines = await join(), await join(), await two_ways(network)
    async with reservation_alone(behind(network, settings)) as other:
        assert [await status(other, each) for each in (person, earlier)] == [200, 200]
        assert (await client.delete("/v1/me/sessions", headers=earlier.headers)).status_code == 204
        await eventually(partial(_is_out, other, earlier), within=SECONDS)
        for line in lines.values():
            await line.cut()
        assert (await client.delete("/v1/me/sessions", headers=person.headers)).status_code == 204
        await asyncio.sleep(SECONDS)
        assert [await status(other, each) for each in (person, earlier)] == [200, 401]
        for line in lines.values():
            await line.heal()
        await eventually(partial(_is_out, other, person), within=SECONDS)


async def two_ways(network: Network) -> dict[str, Line]:
    """The lines on which a process without identity's database learns of revocations."""
    return {name: await network.line(name) for name in ("redis", "api-internal")}


def behind(network: Network, settings: Settings) -> Settings:
    """The settings of a process that reaches Redis and identity on the network's lines."""
    env = network.env
    ways = {
        "redis_url": SecretStr(env["SEATWRIGHT_REDIS_URL"]),
        "identity_url": env["SEATWRIGHT_IDENTITY_URL"],
    }
    return settings.model_copy(update=ways)


async def _is_out(client: httpx2.AsyncClient, person: Person) -> bool:
    return await status(client, person) == 401
