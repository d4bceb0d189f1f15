"""A person's words about a refund are sealed with the buyer's key, and go when the buyer's account is erased."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest
from pydantic import BaseModel

from adapters.internal.bookings import BookingHistoryClient
from adapters.internal.client import InternalClient
from adapters.internal.personal_data import PersonalDataClient, Purpose
from cli.migrate import seal_reasons
from config.settings import Settings, secret
from domain.identity import Role
from domain.problems import ProblemType, Refused
from tests.api.test_boundaries import serving
from tests.buyer import Buyer
from tests.platform_client import PlatformClient
from tests.scale import sample
from tests.scenarios.any_seat import any_seat
from tests.scenarios.test_erasure import PASSWORD
from tests.scenarios.test_exchange import refused_as
from tests.scenarios.test_outcomes import Registered, register
from tests.waiting import eventually
from tests.webhooks import rows

_STORED = "SELECT row_to_json(refunds)::text FROM refunds WHERE booking_id = %s"


async def a_refund(platform: PlatformClient, reason: str, *, by_staff: bool = False) -> tuple[Registered, str]:
    """A registered buyer, and the booking whose tickets were given back for this reason."""

    async def told() -> tuple[Registered, str] | None:
        """Or None where identity sealed or opened the reason too late: then the refund goes on without it."""
        person = await register(platform)
        booking = str((await person.bought(*await any_seat(platform)))["id"])
        actor, key = platform.new_buyer(Role.SUPPORT) if by_staff else person, str(uuid4())
        answers = [await actor.refund(booking, reason=reason, key=key) for _ in range(2)]
        assert [each.status_code for each in answers] == [202] * 2, [each.text for each in answers]
        assert "sealed_reason" not in answers[0].json()
        read = {each.json()["reason"] for each in answers}
        if not read <= {"", reason}:
            pytest.fail(str(read))
        return (person, booking) if read == {reason} else None

    return await eventually(told)


async def is_read(reader: Buyer, booking: str, reason: str) -> None:
    """A refund's reader finds the reason, unless identity opens it too late for this answer."""

    async def read() -> bool:
        return [each["reason"] for each in await reader.refunds(booking)] == [reason]

    await eventually(read)


@pytest.mark.parametrize("by_staff", sample([False, True], 1, of="who gives a reason"))
async def test_a_reason_is_sealed_read_by_buyer_and_support_and_gone_after_erasure(
    platform: PlatformClient, settings: Settings, by_staff: bool
) -> None:
    reason, support = f"Ada Lovelace {uuid4().hex} is ill.", platform.new_buyer(Role.SUPPORT)
    person, booking = await a_refund(platform, reason, by_staff=by_staff)
    [[stored]] = rows(settings, _STORED, booking, of="reservation")
    assert reason not in stored
    assert orjson.loads(stored)["reason"] == ""
    for reader in (person, support):
        await is_read(reader, booking, reason)

    async def is_in_the_timeline() -> bool:
        timeline = (await support.get(f"/v1/bookings/{booking}/timeline")).json()
        return [each["refund"]["reason"] for each in timeline["refunds"]] == [reason]

    await eventually(is_in_the_timeline)
    export = (await person.get("/v1/me/export")).json()
    assert [(each["booking_id"], each["reason"]) for each in export["refunds"]] == [(booking, reason)]

    await erase(platform, person)
    assert [(each["reason"], each["cause"]) for each in await support.refunds(booking)] == [
        ("", "staff" if by_staff else "buyer")
    ]


async def erase(platform: PlatformClient, person: Registered) -> None:
    answer = await platform.http.request("DELETE", "/v1/me", json={"password": PASSWORD}, headers=person.headers)
    assert answer.status_code == 204, answer.text


async def test_the_reason_of_a_refund_for_an_erased_buyer_is_not_kept(
    platform: PlatformClient, settings: Settings
) -> None:
    person = await register(platform)
    booking, support = (await person.bought(*await any_seat(platform)))["id"], platform.new_buyer(Role.SUPPORT)
    await erase(platform, person)
    answer = await support.refund(booking, reason="Ada has written to us.")
    assert answer.status_code == 202, answer.text
    [[stored]] = rows(settings, _STORED, booking, of="reservation")
    assert "Ada" not in stored
    assert [each["reason"] for each in await support.refunds(booking)] == [""]


async def test_refunds_are_read_without_reasons_while_identity_is_away_but_not_exported(
    platform: PlatformClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    person, booking = await a_refund(platform, "Ada is ill.")
    authorization, path = person.headers["Authorization"], f"/v1/bookings/{booking}/refunds"
    exported: Any = SimpleNamespace(id=booking, refunded=5000)
    history = BookingHistoryClient("http://reservation.test")
    async with serving(settings, "reservation") as client:

        async def get(_: InternalClient, path: str, answer: type[BaseModel], headers: dict[str, str]) -> BaseModel:
            given = await client.get(path, headers=headers)
            if given.status_code != 200:
                raise Refused(ProblemType.UNAVAILABLE, str(given.status_code))
            return answer.model_validate_json(given.content)

        monkeypatch.setattr(InternalClient, "get", get)
        [refund] = await history.refunds_of_caller(authorization, [exported])
        assert refund.reason == "Ada is ill."
        monkeypatch.setattr(PersonalDataClient, "open", _away)
        answer = await client.get(path, headers=person.headers)
        assert answer.status_code == 200, answer.text
        [read] = answer.json()["refunds"]
        assert (read["id"], read["amount"], read["reason"]) == (str(refund.id), refund.amount, "")
        with pytest.raises(Refused, match="503"):
            await history.refunds_of_caller(authorization, [exported])
    await history.close()


STAFF = [Role.SUPPORT, Role.OPERATOR]


@pytest.mark.parametrize(
    "role", [None, *sample(STAFF, 1, of="staff without identity")], ids=lambda role: role or "buyer"
)
async def test_while_identity_is_away_buyers_get_refunds_without_reasons_and_staff_none(
    platform: PlatformClient, settings: Settings, monkeypatch: pytest.MonkeyPatch, role: Role | None
) -> None:
    person, key = await register(platform), str(uuid4())
    booking = str((await person.bought(*await any_seat(platform)))["id"])
    before, actor = await person.booking(booking), platform.new_buyer(role) if role else person
    monkeypatch.setattr(PersonalDataClient, "seal", _away)
    monkeypatch.setattr(PersonalDataClient, "open", _away)
    async with serving(settings, "reservation") as client:
        headers = actor.headers | {"Idempotency-Key": key}
        path, body = f"/v1/bookings/{booking}/refund", {"reason": "Ada is ill.", "tickets": []}
        answers = [await client.post(path, json=body, headers=headers) for _ in range(2)]
    monkeypatch.undo()
    if role:
        assert {refused_as(each) for each in answers} == {(503, "unavailable")}
        assert await person.booking(booking) == before
        return
    answers.append(await person.refund(booking, reason="Ada is ill.", key=key))
    assert {(each.status_code, each.json()["reason"]) for each in answers} == {(202, "")}
    [refund] = await person.refunds(booking)
    assert {each.json()["id"] for each in answers} == {refund["id"]}
    other = await person.refund(booking, str(uuid4()), reason="Ada is ill.", key=key)
    assert refused_as(other) == (422, "idempotency-key-reused")
    [[stored]] = rows(settings, _STORED, booking, of="reservation")
    assert "Ada" not in stored


async def test_a_reason_that_no_key_can_seal_is_empty_in_the_first_answer_already(platform: PlatformClient) -> None:
    buyer = platform.new_buyer()  # without an account, as a partner that acts for itself
    booking = str((await buyer.bought(*await any_seat(platform)))["id"])
    answer = await buyer.refund(booking, reason="Ada is ill.")
    assert (answer.status_code, answer.json()["reason"]) == (202, ""), answer.text
    assert [each["reason"] for each in await buyer.refunds(booking)] == [""]


async def _away(*_: object) -> None:
    raise Refused(ProblemType.UNAVAILABLE, "The identity service does not answer.")


async def test_a_repetition_with_another_reason_is_the_same_refund_and_keeps_the_first_reason(
    platform: PlatformClient,
) -> None:

    async def repeated() -> tuple[Registered, str, str] | None:
        """Or None where identity was too late, as for `a_refund`."""
        person, key = await register(platform), str(uuid4())
        booking = str((await person.bought(*await any_seat(platform)))["id"])
        first = await person.refund(booking, reason="Ada is ill.", key=key)
        again = await person.refund(booking, reason="Bob is ill.", key=key)
        assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
        assert again.json()["reason"] in ("Ada is ill.", "")
        return (person, booking, key) if again.json()["reason"] else None

    person, booking, key = await eventually(repeated)
    other = await person.refund(booking, reason="Ada is ill.", key=key, tickets=[str(uuid4())])
    assert refused_as(other) == (422, "idempotency-key-reused")


async def test_reasons_of_an_earlier_version_are_sealed_and_those_of_erased_buyers_go(
    platform: PlatformClient, settings: Settings
) -> None:
    (person, booking), (gone, other) = [await a_refund(platform, "new") for _ in range(2)]
    for owner, each in ((person, booking), (gone, other)):
        await owner.ends_as(each, "refunded")  # so that nothing else changes the refund's row
    for each in (booking, other):
        in_clear = "UPDATE refunds SET reason = 'Ada is ill.', sealed_reason = NULL WHERE booking_id = %s RETURNING id"
        assert rows(settings, in_clear, each, of="reservation")
    await erase(platform, gone)
    await seal_reasons(settings)
    first = rows(settings, _STORED, booking, of="reservation")
    await seal_reasons(settings)
    assert rows(settings, _STORED, booking, of="reservation") == first, "a repetition changes nothing"
    for each in (booking, other):
        [[stored]] = rows(settings, _STORED, each, of="reservation")
        assert "Ada" not in stored
        assert orjson.loads(stored)["body_sha256"] == "", "it had a digest of the reason"
    await is_read(person, booking, "Ada is ill.")
    assert [each["reason"] for each in await platform.new_buyer(Role.SUPPORT).refunds(other)] == [""]


async def test_sealed_words_open_for_their_person_and_purpose_alone(
    platform: PlatformClient, settings: Settings
) -> None:
    person, other = await register(platform), await register(platform)
    client = PersonalDataClient(settings.identity_address, secret(settings.internal_token), seconds=60)
    try:
        sealed = await client.seal(person.user_id, Purpose.REFUND_REASON, "Ada is ill.")
        assert sealed
        assert await client.open(person.user_id, Purpose.REFUND_REASON, [sealed]) == ("Ada is ill.",)
        for bad in (sealed[:-4] + "AAAA", "", "%"):
            with pytest.raises(Refused):
                await client.open(person.user_id, Purpose.REFUND_REASON, [bad])
        with pytest.raises(Refused):
            await client.open(other.user_id, Purpose.REFUND_REASON, [sealed])
        assert await client.seal(uuid4(), Purpose.REFUND_REASON, "x") is None
        assert await client.open(uuid4(), Purpose.REFUND_REASON, [sealed]) is None
    finally:
        await client.close()
