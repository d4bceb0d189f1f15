"""The audit's report: the manual explains each invariant, and each violation names its booking."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from audit.connections import Connections
from audit.invariants import INVARIANTS
from audit.report import print_report
from audit.run import Finding, Report, audit, find_violations
from audit.snapshot import Snapshot, Violation, name_of
from config.settings import Settings

ROOT = Path(__file__).parents[2]
NAMES = [name_of(check) for check in INVARIANTS]


def test_each_invariant_makes_a_promise_is_in_the_manual_and_is_seen_broken() -> None:
    assert [name_of(check) for check in INVARIANTS if not inspect.getdoc(check)] == []
    manual = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in NAMES if f"| {name} |" not in manual] == []
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in NAMES if f'"{name}"' not in tests] == []


def test_a_broken_invariant_is_printed_with_its_booking(capsys: pytest.CaptureFixture[str]) -> None:
    booking = "0195f3a2-8f3e-7cc1-a7a4-1f60c3c0a111"
    print_report(Report([Finding("money taken is money owed", booking, "kept 10000, owed 5000")], {}))
    assert f"broken money taken is money owed: {booking}: kept 10000, owed 5000" in capsys.readouterr().out


def test_a_clean_audit_says_how_many_bookings_are_excused_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Report([], {"paying": 2, "needs_attention": 1}))
    clean, excused = capsys.readouterr().out.splitlines()
    assert clean == f"clean: all {len(INVARIANTS)} invariants hold"
    assert excused.startswith("excused from the checks of money")
    assert excused.endswith("1 needs_attention, 2 paying")


def test_an_audit_that_excuses_no_booking_says_nothing_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(Report([], {}))
    assert "excused" not in capsys.readouterr().out


async def test_an_audit_of_no_events_finds_nothing_and_needs_no_server() -> None:
    assert await audit(Settings(mode="development"), []) == []


async def test_what_two_checks_confirm_stays_found_while_messages_of_others_arrive() -> None:
    checks = Counter[str]()

    async def heals(snapshot: Snapshot) -> list[Violation]:
        checks["heals"] += 1
        return [Violation("a firm one", "")] if checks["heals"] <= 2 else []

    async def arrives(snapshot: Snapshot) -> list[Violation]:
        checks["arrives"] += 1
        return [Violation("a message", "", is_early=True)] if checks["arrives"] <= 3 else []

    nothing_is_read = cast("Connections", None)
    found = await find_violations(nothing_is_read, (heals, arrives), again_after=0.01)
    assert [each.subject for each in found] == ["a firm one"]
    assert checks["arrives"] == 4


async def test_a_fault_whose_figures_grow_with_each_sale_is_found_with_its_latest_figures() -> None:
    sold = Counter[str]()

    async def counts_one_too_many(snapshot: Snapshot) -> list[Violation]:
        sold["places"] += 1
        return [Violation("a section", f"{sold['places'] + 1} counted, {sold['places']} found")]

    nothing_is_read = cast("Connections", None)
    [found] = await find_violations(nothing_is_read, (counts_one_too_many,), again_after=0.01)
    assert (found.subject, found.detail) == ("a section", "3 counted, 2 found")


async def test_each_check_finding_another_booking_is_a_live_system_and_no_fault() -> None:
    checks = Counter[str]()

    async def passes_by(snapshot: Snapshot) -> list[Violation]:
        checks["number"] += 1
        return [Violation(f"booking {checks['number']}", "kept 5000 EUR, owed nothing")]

    nothing_is_read = cast("Connections", None)
    assert await find_violations(nothing_is_read, (passes_by,), again_after=0.01) == []
