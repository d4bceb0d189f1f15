"""A line that the provider does not list any more goes with the next fetch of its day; what it showed is resolved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from temporalio.testing import ActivityEnvironment

from db.payment import report_lines
from domain.payments import Intent
from sandbox.testing import API_KEY, SandboxProcess
from tests.http_client import http_client
from tests.scenarios.reconciliation_harness import ReconciliationHarness, step
from tests.scenarios.test_reconciliation import (
    MISSING_HERE,
    at_stripe,
    databases,
    engine,
    gateways,
    harness,
    one_day,
    sandbox,
    service_database,
    templates,
)
from tests.waiting import eventually

__all__ = ["databases", "engine", "gateways", "harness", "one_day", "sandbox", "service_database", "templates"]


class _Death(BaseException):
    """Of the worker."""


async def reserved_by_another_shop(sandbox: SandboxProcess) -> str:
    """The id of an intent on our account that names no booking."""
    order = {
        "amount": "700",
        "currency": "eur",
        "capture_method": "manual",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "return_url": "https://other.example.test/",
    }
    async with http_client(sandbox.url) as shop:
        made = await shop.post("/v1/payment_intents", data=order, headers={"Authorization": f"Bearer {API_KEY}"})
    assert made.json()["status"] == "requires_capture", made.text
    return str(made.json()["id"])


async def open_kinds(harness: ReconciliationHarness, subject: str) -> list[str]:
    found = await harness.rows(
        "SELECT kind FROM reconciliation_differences WHERE subject = :subject AND resolved_at IS NULL", subject=subject
    )
    return [row.kind for row in found]


async def listed(harness: ReconciliationHarness) -> set[str]:
    rows = await harness.rows("SELECT intent_id FROM provider_movements WHERE intent_id IS NOT NULL")
    return {row.intent_id for row in rows}


async def let_go(harness: ReconciliationHarness, intent: str) -> None:
    await harness.gateway.void(intent, key=f"{intent}:void")


@at_stripe
async def test_a_reservation_of_no_booking_is_resolved_once_it_is_released(
    harness: ReconciliationHarness, sandbox: SandboxProcess
) -> None:
    intent = await reserved_by_another_shop(sandbox)
    await harness.reconciled()
    assert await open_kinds(harness, intent) == [MISSING_HERE]
    await let_go(harness, intent)
    await harness.reconciled()
    assert await open_kinds(harness, intent) == []


@at_stripe
async def test_an_unknown_reservation_of_a_booking_is_resolved_once_it_is_released(
    harness: ReconciliationHarness,
) -> None:
    booking = await harness.sold()
    intent = await harness.reserved_there(booking)
    assert await harness.differ(booking) == [MISSING_HERE]
    await let_go(harness, intent.id)
    assert await harness.differ(booking) == []
    assert intent.id not in await listed(harness)


async def _killed_after_the_first_page(harness: ReconciliationHarness, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The last heartbeat's details of a worker that dies when it has kept one page."""
    beats, pages, keep = list[list[Any]](), list[object](), report_lines.keep
    monkeypatch.setattr("activities.heartbeats._INTERVAL", 0.01)

    async def dying(*arguments: Any) -> None:
        if pages:
            await eventually(lambda: beats[-1][0] == "intents")
            raise _Death
        await keep(*arguments)
        pages.append(arguments)

    worker = ActivityEnvironment()
    worker.on_heartbeat = lambda *details: beats.append(list(details))
    with monkeypatch.context() as death:
        death.setattr(report_lines, "keep", dying)
        with pytest.raises(_Death):
            await worker.run(harness.steps.fetch_list, harness.of_today)
    return beats[-1]


async def _go_on(harness: ReconciliationHarness, details: Sequence[Any]) -> None:
    worker = ActivityEnvironment()
    worker.info = replace(worker.info, heartbeat_details=list(details))
    await worker.run(harness.steps.fetch_list, harness.of_today)


async def _released_and_taken(harness: ReconciliationHarness) -> tuple[Intent, Intent]:
    """One that was listed and then released, and one that is taken since."""
    released = await harness.reserved_there(uuid4())
    await step(harness.steps.fetch_list, harness.of_today)
    await let_go(harness, released.id)
    return released, await harness.taken_there(uuid4())


@at_stripe
async def test_a_fetch_that_another_worker_completes_removes_only_what_none_of_them_found(
    harness: ReconciliationHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, taken = await _released_and_taken(harness)
    details = await _killed_after_the_first_page(harness, monkeypatch)
    assert {released.id, taken.id} <= await listed(harness)
    await _go_on(harness, details)
    assert taken.id in await listed(harness)
    assert released.id not in await listed(harness)


@at_stripe
async def test_a_fetch_that_an_older_worker_began_removes_no_line(harness: ReconciliationHarness) -> None:
    released, _ = await _released_and_taken(harness)
    await _go_on(harness, ["intents"])
    assert released.id in await listed(harness)
