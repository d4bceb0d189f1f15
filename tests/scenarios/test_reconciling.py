"""Reconciling a whole day: by the command, by the schedule, and in the metrics and logs of the worker."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import Client, ScheduleOverlapPolicy

from adapters.payment.registry import PROVIDERS
from adapters.payment.stripe.gateway import StripeGateway
from config.settings import Settings
from db.engine import open_engine
from sandbox.testing import ROOT
from stack import Stack
from temporal.connection import connect
from tests.metrics import value
from tests.provider_settings import stripe_settings
from tests.scale import sample
from tests.scenarios.reconciliation_harness import ReconciliationHarness, begin_well_before_midnight, today
from tests.waiting import eventually
from tests.webhooks import rows
from workers.temporal.schedules import DAILY_RECONCILIATION, schedule_reconciliation

LONG_AGO = "2020-02-29"


@pytest.fixture(autouse=True)
async def one_day() -> None:
    await begin_well_before_midnight()


@pytest.fixture
async def engine(settings: Settings) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(settings.database_url("payment"), pool_size=4, serves_callers=False)
    yield opened
    await opened.dispose()


@pytest.fixture
async def temporal(settings: Settings) -> Client:
    return await connect(settings)


async def reconcile(stack_env: dict[str, str], *arguments: str) -> tuple[int, str]:
    """The command's exit code and what it prints."""
    command = [sys.executable, "-m", "cli", "reconcile", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=stack_env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    return process.returncode or 0, printed.decode()


async def test_a_day_on_which_nothing_happened_is_reconciled_without_a_difference(stack_env: dict[str, str]) -> None:
    code, printed = await reconcile(stack_env, "--day", LONG_AGO)
    assert code == 0, printed
    source = {True: "0 movements", False: "no settlement report"}
    assert [line for line in printed.splitlines() if line] == [
        f"{name} {LONG_AGO}: {source[provider.has_settlement_report]}, 0 checked one by one, no differences"
        for name, provider in PROVIDERS.items()
    ]


async def test_the_command_prints_each_difference_and_leaves_with_1(
    engine: AsyncEngine, settings: Settings, stack_env: dict[str, str]
) -> None:
    own = stripe_settings(settings)
    gateway = StripeGateway(own.api_key.get_secret_value(), base_url=own.api_base)
    booking = await ReconciliationHarness(engine, {"stripe": gateway}, "stripe").booked_here(f"pi_nobody{uuid4().hex}")
    await gateway.close()
    code, printed = await reconcile(stack_env, "--day", str(today()), "--provider", "stripe")
    assert code == 1, printed
    kept = "SELECT kind, ours FROM reconciliation_differences WHERE subject = %s AND resolved_at IS NULL"
    assert rows(settings, kept, str(booking)) == [("missing_there", "captured 5000 EUR")]
    assert "differences" in printed
    assert "missing_" in printed


MISTAKES = [
    (("--day", "yesterday"), "--day"),
    (("--day", str(datetime.now(UTC).date() + timedelta(days=2))), "--day"),
    (("--provider", "paypal"), "--provider"),
]


@pytest.mark.parametrize(("arguments", "named"), sample(MISTAKES, 1, of="mistakes in reconcile"))
async def test_a_mistake_in_the_command_is_named(
    stack_env: dict[str, str], arguments: tuple[str, ...], named: str
) -> None:
    code, printed = await reconcile(stack_env, *arguments)
    assert code == 2
    assert named in printed


async def test_every_night_is_scheduled_once_however_many_workers_start(temporal: Client) -> None:
    await asyncio.gather(*(schedule_reconciliation(temporal) for _ in range(3)))
    found = [each.id async for each in await temporal.list_schedules()]
    assert found.count(DAILY_RECONCILIATION) <= 1  # the list lags a little
    described = await temporal.get_schedule_handle(DAILY_RECONCILIATION).describe()
    assert described.schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    assert described.schedule.policy.catchup_window == timedelta(days=7)
    assert [(time.hour, time.minute) for time in described.info.next_action_times[:1]] == [(3, 0)]


async def test_a_paused_schedule_stays_paused_when_a_worker_starts(temporal: Client) -> None:
    handle = temporal.get_schedule_handle(DAILY_RECONCILIATION)
    await handle.pause(note="by an operator")
    try:
        await schedule_reconciliation(temporal)
        assert (await handle.describe()).schedule.state.paused
    finally:
        await handle.unpause()


async def test_the_schedule_reconciles_all_that_is_due(temporal: Client, settings: Settings) -> None:
    await temporal.get_schedule_handle(DAILY_RECONCILIATION).trigger()
    yesterday = today() - timedelta(days=1)

    async def done() -> bool:
        found = await asyncio.to_thread(
            rows, settings, "SELECT provider, count(*) FROM reconciled_days WHERE day <= %s GROUP BY 1", yesterday
        )
        return {provider for provider, days in found if days >= 14} == set(PROVIDERS)

    await eventually(done, within=60, every=0.5)


async def test_every_worker_shows_the_open_differences_and_the_last_day(
    stack: Stack, engine: AsyncEngine, stack_env: dict[str, str]
) -> None:
    """Whichever worker found or resolved them, and whichever day was reconciled last."""
    name, of = "seatwright_reconciliation_differences", {"provider": "payu", "kind": "currency"}
    noted = """
        INSERT INTO reconciliation_differences (provider, day, subject, kind, ours, theirs)
        VALUES (:provider, '2020-02-29', :subject, :kind, '', '')
    """
    subject = {"subject": f"by another worker {uuid4()}"}
    before = await value(stack, "work", name, **of)
    async with engine.begin() as connection:
        await connection.execute(text(noted), of | subject)

    async def shows(so_many: float) -> bool:
        return await value(stack, "work", name, **of) == so_many

    await eventually(lambda: shows(before + 1))
    resolved = "UPDATE reconciliation_differences SET resolved_at = now() WHERE subject = :subject"
    async with engine.begin() as connection:
        await connection.execute(text(resolved), subject)
    await eventually(lambda: shows(before))

    yesterday = str(today() - timedelta(days=1))
    for day in (yesterday, str(today()), LONG_AGO):
        await reconcile(stack_env, "--day", day, "--provider", "payu")

    async def has_come_to() -> bool:
        last = await value(stack, "work", "seatwright_reconciliation_last_day", provider="payu")
        return str(datetime.fromtimestamp(last, UTC).date()) == yesterday

    await eventually(has_come_to)
