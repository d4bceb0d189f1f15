"""The double-entry ledger: every movement of money is one entry that debits one account and credits another."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Any

from sandbox.store import Store

CARDHOLDER, HELD, MERCHANT = "cardholder", "held", "merchant"


class Movement(StrEnum):
    """The kinds of movements of money at the provider."""

    HOLD = "hold"
    CAPTURE = "capture"
    RELEASE = "release"  # the rest of a hold that was captured in part
    VOID = "void"
    EXPIRE = "expire"
    REFUND = "refund"
    REFUND_FAILURE = "refund_failure"  # the refund did not arrive; the money returns to the merchant
    DISPUTE = "dispute"  # the cardholder's bank has taken the money back
    DISPUTE_REVERSAL = "dispute_reversal"  # the merchant has won the dispute


# Money moves from the credited account to the debited one.
ROUTES = {
    Movement.HOLD: (HELD, CARDHOLDER),
    Movement.CAPTURE: (MERCHANT, HELD),
    Movement.RELEASE: (CARDHOLDER, HELD),
    Movement.VOID: (CARDHOLDER, HELD),
    Movement.EXPIRE: (CARDHOLDER, HELD),
    Movement.REFUND: (CARDHOLDER, MERCHANT),
    Movement.REFUND_FAILURE: (MERCHANT, CARDHOLDER),
    Movement.DISPUTE: (CARDHOLDER, MERCHANT),
    Movement.DISPUTE_REVERSAL: (MERCHANT, CARDHOLDER),
}


class Ledger:
    """Appends and reads movements; it never changes or removes one."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def post(
        self,
        movement: Movement,
        amount: int,
        *,
        intent_id: str,
        booking_id: str | None,
        currency: str,
        object_id: str | None,
    ) -> None:
        """Append one movement of `amount` minor units; call this inside the transaction of its effect.

        Args:
            movement: Which accounts are debited and credited.
            amount: Minor units, always positive.
            intent_id: The intent whose money moves.
            booking_id: Its booking; None if it names none.
            currency: ISO 4217, as the provider writes it.
            object_id: The attempt or refund that it belongs to.
        """
        debit, credit = ROUTES[movement]
        self._store.insert(
            "entries",
            at=time.time(),
            intent_id=intent_id,
            booking_id=booking_id,
            kind=movement.value,
            debit=debit,
            credit=credit,
            amount=amount,
            currency=currency,
            object_id=object_id,
        )

    def between(self, face: str, kinds: Sequence[Movement], since: float, until: float) -> list[dict[str, Any]]:
        """One API's movements of these kinds from `since` on and before `until` (Unix seconds), oldest first."""
        rows = self._store.all(
            "SELECT entries.* FROM entries JOIN intents ON intents.id = intent_id WHERE face = ? AND at >= ? AND at < ?"
            f" AND kind IN ({', '.join('?' * len(kinds))}) ORDER BY entries.seq",
            *(face, since, until, *kinds),
        )
        return [dict(row) for row in rows]

    def page(self, since: int, limit: int) -> list[dict[str, Any]]:
        """The next `limit` entries after sequence number `since`, oldest first."""
        rows = self._store.all("SELECT * FROM entries WHERE seq > ? ORDER BY seq LIMIT ?", since, limit)
        return [dict(row) for row in rows]

    def of_bookings(self, bookings: Sequence[str], since: int) -> list[dict[str, Any]]:
        """All entries of these bookings after sequence number `since`, by booking and then oldest first."""
        sql = "SELECT * FROM entries WHERE booking_id = ? AND seq > ? ORDER BY seq"
        return [dict(row) for booking in bookings for row in self._store.all(sql, booking, since)]

    def balances(self) -> list[dict[str, Any]]:
        """The balance of each account by currency, debits positive; each currency sums to zero."""
        rows = self._store.all(
            "SELECT account, currency, SUM(amount) AS balance FROM ("
            " SELECT debit AS account, currency, amount FROM entries"
            " UNION ALL SELECT credit, currency, -amount FROM entries"
            ") GROUP BY account, currency ORDER BY currency, account"
        )
        return [dict(row) for row in rows]
