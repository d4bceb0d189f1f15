"""Checks all invariants; violations are checked a second time, since a live system changes between two reads."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from audit import queries
from audit.connections import Connections, open_connections
from audit.invariants import INVARIANTS
from audit.snapshot import Invariant, Snapshot, name_of
from config.settings import Settings

LAG = timedelta(seconds=30)
"""The time that a domain event may take to reach all consumers, including a rebalance of their group."""

_TRANSACTION = 1.5  # seconds; longer than any transaction during which two systems may differ
_MESSAGE = 0.5  # seconds; most messages arrive within this time


_Place = tuple[str, str]


class Finding(NamedTuple):
    """A broken invariant, and what breaks it.

    Attributes:
        subject: The booking's id, or the name of another object such as a seat.
    """

    invariant: str
    subject: str
    detail: str

    @property
    def place(self) -> _Place:
        """What stays the same from one check to the next: the details may have changed."""
        return self.invariant, self.subject


class Report(NamedTuple):
    """What an audit comes to.

    Attributes:
        excused: How many bookings are left out of the checks of money, by status.
    """

    findings: list[Finding]
    excused: Mapping[str, int]


async def audit(
    settings: Settings, event_ids: Collection[UUID] | None = None, invariants: Sequence[Invariant] = INVARIANTS
) -> list[Finding]:
    """Find the broken invariants of some events, or of all events; nothing is read where there is none to audit."""
    if event_ids is not None and not event_ids:
        return []
    async with open_connections(settings, None if event_ids is None else list(event_ids), LAG) as connections:
        return await find_violations(connections, invariants)


async def report(settings: Settings, event_ids: Collection[UUID] | None = None) -> Report:
    """Audit, and say which bookings are left out of the checks of money."""
    async with open_connections(settings, None if event_ids is None else list(event_ids), LAG) as connections:
        return Report(await find_violations(connections), await queries.excused(connections))


async def find_violations(
    connections: Connections, invariants: Sequence[Invariant] = INVARIANTS, again_after: float = _TRANSACTION
) -> list[Finding]:
    """Find what two checks in a row, `again_after` seconds apart, report; repeat while messages may still arrive.

    Two checks agree on what breaks an invariant, not on the details: a number in them may grow with each sale. The
    latest are reported. What two checks have confirmed stays found, also if it is gone while the messages of another
    booking are waited for.
    """
    found, confirmed = await _check(connections, invariants), dict[_Place, list[Finding]]()
    while found:
        await asyncio.sleep(_MESSAGE if all(found.values()) else again_after)
        suspects = {finding.invariant for finding in found}
        again = await _check(connections, (each for each in invariants if name_of(each) in suspects))
        before, firm_before = _by_place(found), _by_place(_firm(found))
        found = {finding: is_early for finding, is_early in again.items() if finding.place in before}
        confirmed |= {place: firm for place, firm in _by_place(_firm(found)).items() if place in firm_before}
        if not any(found.values()):
            break
    return sorted(finding for findings in (confirmed | _by_place(found)).values() for finding in findings)


def _firm(found: Mapping[Finding, bool]) -> Iterable[Finding]:
    return (finding for finding, is_early in found.items() if not is_early)


def _by_place(findings: Iterable[Finding]) -> dict[_Place, list[Finding]]:
    by_place: dict[_Place, list[Finding]] = {}
    for finding in findings:
        by_place.setdefault(finding.place, []).append(finding)
    return by_place


async def _check(connections: Connections, invariants: Iterable[Invariant]) -> dict[Finding, bool]:
    """The violations, and whether each may still resolve itself."""
    snapshot = Snapshot(connections)
    return {
        Finding(name_of(invariant), violation.subject, violation.detail): violation.is_early
        for invariant in invariants
        for violation in await invariant(snapshot)
    }
