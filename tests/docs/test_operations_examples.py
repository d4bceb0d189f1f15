"""The examples of the operator's manual run from its top to its end, on sagas that do wait for an operator."""

from __future__ import annotations

import asyncio
import json
import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from confluent_kafka import Producer

from adapters.kafka.client import dead_letters
from config.settings import Settings
from domain.identity import Role
from stack import Stack
from tests.buyer import CARD_WITH_3DS, Buyer
from tests.docs.operator import Operator
from tests.platform_client import PlatformClient
from tests.provider_settings import iyzico_settings
from tests.scenarios.test_answers import parked
from tests.scenarios.test_event_cancellation import finished
from tests.scenarios.test_exchange import bought, sits
from tests.scenarios.test_exchange_payments import exchange_is, waiting
from tests.scenarios.test_late_payments import Late
from tests.scenarios.test_late_payments import parked as parked_late_payment
from tests.scenarios.test_outcomes import register
from tests.scenarios.test_provider_refunds import exchange_undone_by_hand
from tests.scenarios.test_refunds import accepted, becomes, needs_attention
from tests.waiting import eventually

pytestmark = pytest.mark.disruptive


class Waiting(NamedTuple):
    """Something that waits for an operator: its id, and the buyer and the booking that it belongs to."""

    id: str
    buyer: Buyer
    booking: str


class Exchanged(NamedTuple):
    """The same for an exchange, with its event and its booking as it was bought."""

    id: str
    buyer: Buyer
    event: str
    bought: dict[str, Any]


class Work(NamedTuple):
    """What the operator has to do."""

    bookings: list[Waiting]
    refunds: list[Waiting]
    abandoned: Exchanged
    undone: Exchanged
    late: Late
    terminated: Waiting


async def parked_booking(platform: PlatformClient) -> Waiting:
    buyer = platform.new_buyer()
    booking = await parked(platform, buyer, str(uuid4()))
    return Waiting(booking, buyer, booking)


async def parked_refund(platform: PlatformClient) -> Waiting:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await platform.provider.will("decline", "refund", booking, times=1000)
    refund = await accepted(buyer, booking)
    await eventually(lambda: needs_attention(buyer, booking), within=60)
    return Waiting(refund["id"], buyer, booking)


async def abandoned_exchange(platform: PlatformClient) -> Exchanged:
    """An exchange whose authorization cannot be released."""
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await waiting(buyer, booking, "B-1-1", "A-1-1", method=CARD_WITH_3DS)
    await platform.provider.will("500_before", "cancel", booking["id"], times=1000)
    await buyer.at(platform.hasty).delete(f"/v1/bookings/{booking['id']}/exchanges/{exchange['id']}")

    async def is_parked() -> bool:
        return bool((await buyer.exchanges(booking["id"]))[0]["needs_attention"])

    await eventually(is_parked, within=60)
    return Exchanged(exchange["id"], buyer, event, booking)


async def undone_exchange(platform: PlatformClient) -> Exchanged:
    event, buyer, booking = await bought(platform, "B-1-1")
    exchange = await exchange_undone_by_hand(platform, buyer, booking)
    return Exchanged(exchange, buyer, event, booking)


async def terminated_hold(platform: PlatformClient) -> Waiting:
    event, buyer = await platform.event(hold_seconds=1200), platform.new_buyer()
    booking = await buyer.held(event, "A-1-1")
    await platform.saga(booking).terminate("by mistake")
    return Waiting(booking, buyer, booking)


async def prepared(platform: PlatformClient, settings: Settings) -> Work:
    """All of the work; its parts wait for servers, not for each other."""
    async with asyncio.TaskGroup() as group:
        bookings = [group.create_task(parked_booking(platform)) for _ in range(2)]
        refunds = [group.create_task(parked_refund(platform)) for _ in range(2)]
        abandoned = group.create_task(abandoned_exchange(platform))
        undone = group.create_task(undone_exchange(platform))
        late = group.create_task(parked_late_payment(platform, settings))
        terminated = group.create_task(terminated_hold(platform))
    return Work(
        [each.result() for each in bookings],
        [each.result() for each in refunds],
        abandoned.result(),
        undone.result(),
        late.result(),
        terminated.result(),
    )


async def looks_first(operator: Operator, work: Work) -> None:
    seen = await operator.runs("stack status")
    for name in ("postgres", "api", "work", "relay", "consume"):
        assert re.search(rf"^ *{name} +ready", seen, re.MULTILINE), seen
    for each in work.bookings:
        assert f"booking-{each.id}" in seen
    assert f"every open booking has a running saga: {work.terminated.id}" in seen
    for metric in (
        "seatwright_loop_longest_stall_seconds",
        "seatwright_sagas_needing_attention",
        "seatwright_outbox_waiting",
        "seatwright_consumer_lag",
    ):
        assert re.search(rf"^{metric}\b", seen, re.MULTILINE), metric


async def decides_about_bookings(operator: Operator, platform: PlatformClient, work: Work) -> None:
    """One is retried by itself, the other one with all that wait."""
    for each in work.bookings:
        await platform.provider.clear_faults(each.booking)
    first, second = work.bookings
    operator.variables["BOOKING"] = first.id
    await operator.runs('booking operate "$BOOKING" retry')
    await first.buyer.ends_as(first.booking, "needs_attention", "failed")

    async def only_the_second_waits() -> bool:
        query = 'SeatwrightStatus="needs_attention" AND WorkflowType="Booking" AND ExecutionStatus="Running"'
        found = {each.id async for each in platform.temporal.list_workflows(query)}
        return found & {f"booking-{each.id}" for each in work.bookings} == {f"booking-{second.id}"}

    await eventually(only_the_second_waits)
    assert second.id in await operator.runs('booking operate "$id" retry')
    for each in work.bookings:
        await platform.redis_knows_the_end(each.booking)
        assert await each.buyer.status(each.booking) == "failed"
        assert await platform.provider.kept(each.booking) == 0


async def decides_about_refunds(operator: Operator, platform: PlatformClient, work: Work) -> None:
    retried, made_by_hand = work.refunds
    for each, decision in ((retried, "retry"), (made_by_hand, "resolve")):
        await platform.provider.clear_faults(each.booking)
        if decision == "resolve":
            await platform.refund_by_hand(each.booking)
        operator.variables["REFUND"] = each.id
        await operator.runs(f'refund operate "$REFUND" {decision}')
        await becomes(each.buyer, each.booking, "refunded")
        assert await platform.provider.kept(each.booking) == 0


async def decides_about_exchanges(operator: Operator, platform: PlatformClient, work: Work) -> None:
    for each, decision in ((work.abandoned, "retry"), (work.undone, "resolve")):
        await platform.provider.clear_faults(each.bought["id"])
        operator.variables["EXCHANGE"] = each.id
        await operator.runs(f'exchange operate "$EXCHANGE" {decision}')
        await exchange_is(each.buyer, {"id": each.id, "booking_id": each.bought["id"]}, "failed")
        await sits(platform, each.buyer, each.event, each.bought, on="B-1-1", not_on="A-1-1")
    buyer, booking = work.undone.buyer, work.undone.bought["id"]
    await accepted(buyer, booking)  # this posts what was given back by hand, so the audit is clean afterwards
    await becomes(buyer, booking, "refunded")


async def cancels_an_event(operator: Operator, platform: PlatformClient) -> None:
    event, buyer = await platform.event(), platform.new_buyer()
    booking = (await buyer.bought(event, "A-1-1"))["id"]
    await platform.provider.will("processing", "refund", booking)  # so that it is not over before it is paused
    operator.variables["EVENT"] = event
    printed = await operator.runs('event pause "$EVENT"')
    assert '"bookings_to_refund":1' in printed
    assert f"paused: the cancellation of event {event}" in printed
    assert f"resumed: the cancellation of event {event}" in printed
    [pending] = await eventually(lambda: platform.provider.refunds(booking))
    await platform.provider.decide(pending["id"], "succeeded")
    assert (await finished(platform, event))["refunded"] == 1


async def settles_late_money(operator: Operator, platform: PlatformClient, late: Late) -> None:
    intent = (await late.workflow()).id.removeprefix("late-payment-")
    assert intent in await operator.runs("FROM attempts WHERE watched")
    await platform.provider.clear_faults(late.booking)
    operator.variables["INTENT"] = intent
    await operator.runs('late-payment operate "$INTENT" retry')
    assert await late.is_settled() == "returned"


async def resets_what_was_terminated(operator: Operator, work: Work) -> None:
    operator.variables["BOOKING"] = work.terminated.id
    await operator.runs("workflow reset")
    paid = await work.terminated.buyer.pay(work.terminated.booking)
    assert (paid.status_code, paid.json()["status"]) == (200, "confirmed"), paid.text


async def looks_after_people(operator: Operator, platform: PlatformClient) -> None:
    person = str((await register(platform)).user_id)
    head = (await operator.types("seatwright audit-log verify")).removeprefix("holds: ").strip()
    operator.variables |= {"HEAD": head, "USER_ID": person}
    printed = await operator.runs("audit-log verify")
    assert printed.count("holds: ") == 2
    assert f"user/{person}" in printed
    assert f"done: {person}\ndone: {person}\n" in await operator.runs("people roles")
    await operator.runs("pg_dump")
    kept, short_lived = ((operator.folder / f"{name}.sql").read_text() for name in ("identity", "user_keys"))
    assert "\nCOPY public.users " in kept
    assert "\nCOPY public.user_keys " not in kept
    assert "\nCOPY public.user_keys " in short_lived
    assert re.search(r"^\d+ keys rewrapped$", await operator.runs("people rewrap"), re.MULTILINE)


async def compares_with_the_providers(operator: Operator) -> None:
    printed = await operator.runs("reconcile --day")
    assert len(re.findall(r"^stripe .+ differences$", printed, re.MULTILINE)) == 2
    assert "resolved_at" in await operator.runs("FROM reconciliation_differences")
    assert re.search(r"^ stripe +\| EUR +\| -?\d+$", await operator.runs("FROM ledger_transactions"), re.MULTILINE)


async def reads_messages(operator: Operator, settings: Settings, work: Work) -> None:
    body = f'{{"user_id": "{uuid4()}"}}'
    await asyncio.to_thread(put_aside, settings, body)
    assert body in await operator.runs("dead-letters")
    rebuilt = await operator.runs("rebuild search")
    assert re.search(r"^\d+ domain events counted\n\d+ domain events indexed$", rebuilt, re.MULTILINE), rebuilt
    operator.variables["BOOKING"] = work.terminated.id
    shown = await operator.runs("--codec-endpoint")
    assert f"user_id: {work.terminated.buyer.user_id}" in shown


def put_aside(settings: Settings, body: str) -> None:
    """A dead letter that is no outcome, so the audit does not mind it."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    headers: list[tuple[str, str | bytes | None]] = [
        ("ce_type", "user.erased"),
        ("dead_letter_topic", "identity.events"),
    ]
    producer.produce(dead_letters("notification"), body, headers=headers)
    assert producer.flush(60) == 0


async def replaces_keys(operator: Operator) -> None:
    rotated = await operator.types("seatwright keys rotate")
    operator.variables["KID"] = leaked = rotated.split()[0]
    printed = await operator.runs("keys revoke")
    assert f"{leaked} is revoked" in printed
    assert leaked not in await operator.types("seatwright keys list")


async def registers_applications(operator: Operator) -> None:
    registered = await operator.types("seatwright clients add 'Old application' --introspects")
    operator.variables["CLIENT_ID"] = client = registered.split()[1]
    printed = await operator.runs("clients add")
    assert (printed.count("client_id: "), printed.count("client_secret: ")) == (4, 3)  # one of them keeps no secret
    assert f"{client} has ended" in printed


async def asks_iyzico(operator: Operator, settings: Settings) -> None:
    account = iyzico_settings(settings)
    operator.variables |= {
        "DAY": datetime.now(UTC).date().isoformat(),
        "SEATWRIGHT_IYZICO_API_BASE": account.api_base,
        "SEATWRIGHT_IYZICO_API_KEY": account.api_key.get_secret_value(),
        "SEATWRIGHT_IYZICO_SECRET_KEY": account.secret_key.get_secret_value(),
    }
    assert json.loads(await operator.runs("IyzicoGateway"))["status"] == "success"


@pytest.mark.thorough
async def test_every_example_of_the_operators_manual_does_what_it_says(
    platform: PlatformClient, settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    operator, work = Operator(stack, tmp_path), await prepared(platform, settings)
    token = platform.new_buyer(Role.CUSTOMER, Role.OPERATOR).headers["Authorization"].removeprefix("Bearer ")
    operator.variables["TOKEN"] = token
    for step in (
        partial(looks_first, operator, work),
        partial(decides_about_bookings, operator, platform, work),
        partial(decides_about_refunds, operator, platform, work),
        partial(decides_about_exchanges, operator, platform, work),
        partial(cancels_an_event, operator, platform),
        partial(settles_late_money, operator, platform, work.late),
        partial(resets_what_was_terminated, operator, work),
        partial(looks_after_people, operator, platform),
        partial(compares_with_the_providers, operator),
        partial(reads_messages, operator, settings, work),
        partial(replaces_keys, operator),
        partial(registers_applications, operator),
        partial(asks_iyzico, operator, settings),
    ):
        await step()
    await operator.finishes()
    await platform.assert_audit_is_clean()
