"""Lets a provider have another amount or currency than it was asked for, as if it had misread the request."""

from __future__ import annotations

from sandbox.intents import UNDECIDED, Intent, State, WrongState
from sandbox.ledger import Ledger, Movement
from sandbox.records import Refund
from sandbox.store import Store


class Alterations:
    """Changes what was asked for, together with the money that has moved for it. Call it inside a transaction."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def alter(self, intent: Intent, amount: int, currency: str) -> None:
        """Let an intent be of another amount or currency; what is reserved follows.

        Raises:
            WrongState: It is decided, or money is reserved in the old currency.
        """
        has_hold = intent.state is State.AUTHORIZED and currency == intent.currency
        if intent.state not in UNDECIDED | {State.PROCESSING} and not has_hold:
            raise WrongState(intent, "alteration")
        more, intent.amount, intent.currency = amount - intent.amount, amount, currency
        if has_hold:
            intent.authorized = amount
            self._post(intent, Movement.HOLD if more > 0 else Movement.RELEASE, abs(more), intent.attempt_id)
        self._store.run(
            "UPDATE intents SET amount = ?, currency = ?, authorized = ? WHERE id = ?",
            *(amount, currency, intent.authorized, intent.id),
        )

    def alter_refund(self, intent: Intent, refund: Refund, amount: int) -> None:
        """Let a refund be of another amount."""
        more = amount - refund.amount
        self._store.run("UPDATE refunds SET amount = ? WHERE id = ?", amount, refund.id)
        self._store.run("UPDATE intents SET refunded = refunded + ? WHERE id = ?", more, intent.id)
        self._post(intent, Movement.REFUND if more > 0 else Movement.REFUND_FAILURE, abs(more), refund.id)

    def _post(self, intent: Intent, movement: Movement, amount: int, object_id: str | None) -> None:
        if amount:
            self._ledger.post(
                movement,
                amount,
                intent_id=intent.id,
                booking_id=intent.booking_id,
                currency=intent.currency,
                object_id=object_id,
            )
