"""Disputes: a buyer's bank takes a payment back, and returns it if the merchant wins. Only Stripe's API shows them."""

from __future__ import annotations

import json
import secrets

from sandbox.intents import Intent, State, WrongState
from sandbox.ledger import Ledger, Movement
from sandbox.store import Store


class Disputes:
    """Moves the money of a disputed payment. Call it inside a transaction."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    def open(self, intent: Intent) -> None:
        """Take all that was captured back from the merchant.

        Raises:
            WrongState: Nothing was captured, or it is disputed already.
        """
        if intent.state is not State.CAPTURED or "dispute" in intent.details:
            raise WrongState(intent, "dispute")
        made: dict[str, str | int] = {
            "id": f"du_{secrets.token_hex(12)}",
            "amount": intent.captured,
            "status": "needs_response",
        }
        self._move(intent, Movement.DISPUTE, made)

    def win(self, intent: Intent) -> None:
        """Return the money to the merchant.

        Raises:
            WrongState: No dispute is open.
        """
        if not is_disputed(intent):
            raise WrongState(intent, "reversal of the dispute")
        self._move(intent, Movement.DISPUTE_REVERSAL, intent.details["dispute"] | {"status": "won"})

    def _move(self, intent: Intent, movement: Movement, dispute: dict[str, str | int]) -> None:
        intent.details["dispute"] = dispute
        self._store.run("UPDATE intents SET details = ? WHERE id = ?", json.dumps(intent.details), intent.id)
        self._ledger.post(
            movement,
            int(dispute["amount"]),
            intent_id=intent.id,
            booking_id=intent.booking_id,
            currency=intent.currency,
            object_id=str(dispute["id"]),
        )


def is_disputed(intent: Intent) -> bool:
    """Whether the buyer's bank has the money."""
    return bool(intent.details.get("dispute", {}).get("status") == "needs_response")
