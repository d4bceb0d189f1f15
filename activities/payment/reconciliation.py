"""The payment service's steps of a reconciliation: the provider's list is fetched, and compared with the ledger.

The lists only say which bookings to check: where list and ledger differ, the booking is read at the provider, and what
the ledger and the provider say at that moment decides. So neither the end of a day nor a payment in progress is a
difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from time import monotonic
from typing import NamedTuple
from uuid import UUID

import structlog
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine
from temporalio import activity

from activities.heartbeats import heartbeating
from db.payment import reconciliation, report_lines
from db.payment.attempts import CLOSED
from db.payment.reconciliation import Listed, Payment
from domain.payment_gateway import PaymentGateway
from domain.payments import Intent, IntentNotFound, ProviderRefundState
from domain.reconciliation import (
    SHOWN,
    Difference,
    DifferenceKind,
    LedgerAmounts,
    ReconcileDay,
    Reconciliation,
    compare,
)

_AT_ONCE = 100  # bookings
_MOST_DAYS = 14  # that are reconciled later, after an outage
_KEPT = timedelta(days=2 * _MOST_DAYS)  # lines of a report: longer than any day may be due
_PRUNED_AT_ONCE = 1000  # lines
_PRUNING = 60.0  # seconds
_NO_BOOKING = UUID(int=0)

log = structlog.get_logger()


class DaysDue(BaseModel):
    """Which provider is asked about, and up to which day (UTC)."""

    model_config = ConfigDict(frozen=True)

    provider: str
    until: date


class ReconciliationActivities:
    """Each may be repeated, and goes on where its last try was, by the details of its heartbeat."""

    def __init__(self, engine: AsyncEngine, gateways: Mapping[str, PaymentGateway]) -> None:
        self._engine = engine
        self._gateways = gateways

    @activity.defn
    async def days_due(self, asked: DaysDue) -> list[date]:
        """The days that have not been reconciled since they ended, a fortnight back at most."""
        async with self._engine.connect() as connection:
            return await reconciliation.days_due(connection, asked.provider, asked.until, _MOST_DAYS)

    @activity.defn
    async def fetch_list(self, order: ReconcileDay) -> None:
        """Keep what the provider lists of the day, page by page, and post the fees in it.

        Lines of an earlier fetch that are not listed any more go, such as that of a reservation that was released.
        """
        progress = _progress() or ["", await self._now()]
        page, *began = progress  # a worker of an earlier version leaves the page alone
        async with heartbeating(progress):
            while True:
                found = await self._gateways[order.provider].movements(order.day, page or None)
                async with self._engine.begin() as connection:
                    await report_lines.keep(connection, order.provider, order.day, found.movements)
                    if found.next_page is None:
                        for since in began:
                            await report_lines.drop_older(connection, order.provider, order.day, since)
                        return
                progress[0] = page = found.next_page

    async def _now(self) -> str:
        """The database's time, by which it also says when a line was kept."""
        async with self._engine.connect() as connection:
            return await report_lines.now(connection)

    @activity.defn(name="compare_books")  # by which workflows that are running know it
    async def find_differences(self, order: ReconcileDay) -> Reconciliation:
        """Find and keep the differences of the day; those that are not seen any more are resolved."""
        found = await self._strangers(order)
        looked_up, after, progress = 0, _NO_BOOKING, list[str]()
        async with heartbeating(progress):
            while suspects := await self._suspects(order, after):
                for booking in suspects:
                    found += await self._look_up(order, booking)
                looked_up, after = looked_up + len(suspects), suspects[-1]
            result = await self._finish(order, found, looked_up)
            await self._prune(order.provider)
        return result

    async def _prune(self, provider: str) -> None:
        """Delete old lines for a while; the next run goes on, also after a failure."""
        pruned, until = _PRUNED_AT_ONCE, monotonic() + _PRUNING
        try:
            while pruned == _PRUNED_AT_ONCE and monotonic() < until:
                async with self._engine.begin() as connection:
                    pruned = await report_lines.prune(connection, provider, _KEPT, _PRUNED_AT_ONCE)
        except (SQLAlchemyError, OSError) as error:
            log.warning("movements_not_pruned", provider=provider, error=type(error).__name__)

    async def _strangers(self, order: ReconcileDay) -> list[Difference]:
        async with self._engine.connect() as connection:
            strangers = await reconciliation.strangers(connection, order.provider, order.day)
        return [
            _difference(order, reference, DifferenceKind.MISSING_HERE, "no booking here", words)
            for reference, words in strangers
        ]

    async def _suspects(self, order: ReconcileDay, after: UUID) -> list[UUID]:
        has_list = self._gateways[order.provider].provider.has_settlement_report
        async with self._engine.connect() as connection:
            return await reconciliation.suspects(
                connection, order.provider, order.day, has_list=has_list, after=after, limit=_AT_ONCE
            )

    async def _look_up(self, order: ReconcileDay, booking: UUID) -> list[Difference]:
        """What one booking's payments differ in, each at the provider and in the ledger now."""
        async with self._engine.connect() as connection:
            payments = await reconciliation.payments(connection, order.provider, booking)
            listed = await reconciliation.listed(connection, order.provider, order.day, booking)
        found, unlisted = list[Difference](), list[_Amounts]()
        for payment in payments:
            intent_id = payment.attempt.intent_id
            if intent_id is None:
                continue
            theirs = await self._retrieve(order.provider, intent_id)
            kind = compare(payment.amounts, theirs)
            if kind and not await self._is_being_undone(order.provider, payment, theirs):
                ours = _in_words(payment.amounts)
                found.append(_difference(order, str(booking), kind, ours, _told(theirs, intent_id, payment.amounts)))
            if not payment.is_listed:
                unlisted.append(_of_life(theirs, payment.amounts))
        strange = [intent for intent in listed.strange_intents if await self._keeps_money(order.provider, intent)]
        if strange or _is_unexplained(listed, unlisted):
            unknown = "payments that we know do not make it up"
            found.append(_difference(order, str(booking), DifferenceKind.MISSING_HERE, unknown, listed.words))
        return _one_of_each_kind(found)

    async def _is_being_undone(self, provider: str, payment: Payment, theirs: Intent | None) -> bool:
        """Whether all that differs is our own refund of a payment that is being undone, which has no row yet."""
        if theirs is None or theirs.refunded <= payment.amounts.refunded or payment.attempt.state in CLOSED:
            return False
        given = await self._gateways[provider].retrieve_refund(theirs.id, key=payment.attempt.key("refund"))
        if given is None or given.amount is None or given.state is ProviderRefundState.FAILED:
            return False
        pending = payment.amounts.pending + given.amount.amount
        return compare(payment.amounts.model_copy(update={"pending": pending}), theirs) is None

    async def _keeps_money(self, provider: str, intent_id: str) -> bool:
        """Whether a payment that we do not know still has the buyer's money, so that an operator has to act."""
        theirs = await self._retrieve(provider, intent_id)
        return theirs is None or theirs.kept > 0

    async def _retrieve(self, provider: str, intent_id: str) -> Intent | None:
        try:
            return await self._gateways[provider].retrieve(intent_id)
        except IntentNotFound:
            return None

    async def _finish(self, order: ReconcileDay, found: list[Difference], looked_up: int) -> Reconciliation:
        async with self._engine.begin() as connection:
            await reconciliation.note(connection, found)
            await reconciliation.finish(connection, order.provider, order.day, found)
            lines = await report_lines.count(connection, order.provider, order.day)
        for difference in found[:SHOWN]:
            log.error("reconciliation_difference", **difference.model_dump(mode="json"))
        log.info("reconciled", provider=order.provider, day=str(order.day), lines=lines, differences=len(found))
        return Reconciliation(
            provider=order.provider,
            day=order.day,
            movements=lines if self._gateways[order.provider].provider.has_settlement_report else None,
            looked_up=looked_up,
            count=len(found),
            differences=tuple(found[:SHOWN]),
        )


def _progress() -> list[str]:
    """What the last try of this activity left behind."""
    return [str(detail) for detail in activity.info().heartbeat_details]


def _difference(order: ReconcileDay, subject: str, kind: DifferenceKind, ours: str, theirs: str) -> Difference:
    return Difference(provider=order.provider, day=order.day, subject=subject, kind=kind, ours=ours, theirs=theirs)


def _one_of_each_kind(found: list[Difference]) -> list[Difference]:
    """Two differences of a kind about one booking are one row, which names both."""
    merged: dict[DifferenceKind, Difference] = {}
    for each in found:
        known = merged.setdefault(each.kind, each)
        if known is not each:
            both = {"ours": f"{known.ours}; {each.ours}", "theirs": f"{known.theirs}; {each.theirs}"}
            merged[each.kind] = known.model_copy(update=both)
    return list(merged.values())


class _Amounts(NamedTuple):
    """What was ever captured, refunded and reserved of a payment, in minor units."""

    captured: int
    refunded: int
    held: int


def _of_life(theirs: Intent | None, ours: LedgerAmounts) -> _Amounts:
    """According to the provider; to the ledger where the provider does not know the payment, which is reported."""
    if theirs is None:
        return _Amounts(ours.captured, ours.refunded, ours.held + ours.captured)
    return _Amounts(theirs.captured, theirs.refunded, theirs.amount.amount if theirs.amount else 0)


def _is_unexplained(listed: Listed, known: list[_Amounts]) -> bool:
    """Whether more is listed than the known payments make up, and than was given back of the rest."""
    captured = max(0, listed.captured - sum(each.captured for each in known))
    refunded = max(0, listed.refunded - sum(each.refunded for each in known))
    return captured != refunded or listed.held - sum(each.held for each in known) > captured


def _in_words(amounts: LedgerAmounts) -> str:
    parts = [
        f"{name} {amount} {amounts.currency}"
        for name, amount in (
            ("authorized", amounts.held), ("captured", amounts.captured), ("refunded", amounts.refunded)
        )
        if amount
    ]  # fmt: skip
    return ", ".join(parts) or ("let go" if amounts.is_known else "nothing")


def _told(intent: Intent | None, intent_id: str, ours: LedgerAmounts) -> str:
    if intent is None:
        return f"{intent_id} is not known"
    currency = f" {intent.amount.currency}" if intent.amount else ""
    disputed = f", disputed {ours.disputed}" if ours.disputed else ""
    return f"{intent.id}: {intent.state}, captured {intent.captured}, refunded {intent.refunded}{disputed}{currency}"
