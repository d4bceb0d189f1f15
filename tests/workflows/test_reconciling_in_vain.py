"""A provider that cannot be reconciled does not keep the others from it, and an operator sees that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio.client import WorkflowExecutionStatus
from temporalio.testing import WorkflowEnvironment

from adapters.payment.iyzico.gateway import IyzicoGateway
from adapters.payment.stripe.gateway import StripeGateway
from cli.reconcile import compare_all
from db.engine import open_engine
from sandbox.testing import API_KEY, SandboxProcess
from tests.workers.conftest import ServiceDatabase, databases, service_database, templates
from tests.workflows.reconciling import lasted, leave_due, one_night, reconciler
from tests.workflows.test_time import skipping

__all__ = ["databases", "service_database", "skipping", "templates"]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxProcess]:
    process = SandboxProcess(tmp_path_factory.mktemp("sandbox"))
    process.start()
    yield process
    process.stop()


@pytest.fixture
async def engine(service_database: ServiceDatabase) -> AsyncIterator[AsyncEngine]:
    opened = open_engine(service_database("payment"), serves_callers=False)
    yield opened
    await opened.dispose()


@pytest.fixture
async def stripe(sandbox: SandboxProcess) -> AsyncIterator[StripeGateway]:
    gateway = StripeGateway(API_KEY, base_url=sandbox.url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def revoked(sandbox: SandboxProcess) -> AsyncIterator[IyzicoGateway]:
    gateway = IyzicoGateway("revoked", "revoked", base_url=sandbox.url)
    yield gateway
    await gateway.close()


@pytest.fixture
async def away() -> AsyncIterator[IyzicoGateway]:
    gateway = IyzicoGateway("key", "secret", base_url="http://127.0.0.1:9")
    yield gateway
    await gateway.close()


async def reconciled(engine: AsyncEngine, provider: str) -> int:
    """How many of its days are reconciled."""
    counted = "SELECT count(*) FROM reconciled_days WHERE provider = :provider"
    async with engine.connect() as connection:
        return int((await connection.execute(text(counted), {"provider": provider})).scalar_one())


async def test_a_provider_that_refuses_our_keys_delays_no_other_provider(
    skipping: WorkflowEnvironment, engine: AsyncEngine, stripe: StripeGateway, revoked: IyzicoGateway
) -> None:
    with skipping.auto_time_skipping_disabled():  # the clock jumps also beside a call, whose heartbeat is then missed
        night, why = await one_night(skipping, engine, {"iyzico": revoked, "stripe": stripe})
    assert await lasted(night) < timedelta(minutes=10)
    assert (await reconciled(engine, "stripe"), await reconciled(engine, "iyzico")) == (14, 0)
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    assert f"iyzico {yesterday}" in why
    assert "stripe" not in why


async def test_a_provider_that_is_away_for_days_is_left_alone_until_the_next_night(
    skipping: WorkflowEnvironment, engine: AsyncEngine, stripe: StripeGateway, away: IyzicoGateway
) -> None:
    await leave_due(engine, ["iyzico", "stripe"], 3)
    night, why = await one_night(skipping, engine, {"iyzico": away, "stripe": stripe})
    assert timedelta(hours=19) < await lasted(night) < timedelta(hours=23)
    assert why.count("iyzico") == 1
    assert (await night.describe()).status is WorkflowExecutionStatus.FAILED


async def test_a_night_on_which_all_is_reconciled_fails_nowhere(
    skipping: WorkflowEnvironment, engine: AsyncEngine, stripe: StripeGateway
) -> None:
    with skipping.auto_time_skipping_disabled():
        night, why = await one_night(skipping, engine, {"stripe": stripe})
    assert why == ""
    assert (await night.describe()).status is WorkflowExecutionStatus.COMPLETED


async def test_the_command_shows_the_other_providers_when_one_refuses(
    skipping: WorkflowEnvironment, engine: AsyncEngine, stripe: StripeGateway, revoked: IyzicoGateway
) -> None:
    day = datetime.now(UTC).date()
    async with reconciler(skipping, engine, {"iyzico": revoked, "stripe": stripe}):
        with skipping.auto_time_skipping_disabled():
            results, failures = await compare_all(skipping.client, day, ["iyzico", "stripe"])
    assert [(result.provider, result.day) for result in results] == [("stripe", day)]
    [failure] = failures
    assert failure.startswith(f"iyzico {day}: could not be compared: ")
    assert "credentials" in failure
