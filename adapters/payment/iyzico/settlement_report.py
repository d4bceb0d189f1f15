"""iyzico's report of a day, as movements of money."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from adapters.payment.iyzico.amounts import read_amount, read_fee
from adapters.payment.iyzico.responses import Json
from domain.money import Money
from domain.payments import PaymentUnknown
from domain.reconciliation import Movement, MovementKind, MovementPage

TAKEN = ("AUTH", "POST_AUTH")


def movements_of(answer: Json) -> MovementPage:
    """Raises: PaymentUnknown: The report cannot be read."""
    try:
        found = (_movement(row) for row in answer["transactions"] or ())
        page = int(answer["currentPage"])
        return MovementPage(
            movements=tuple(each for each in found if each),
            next_page=str(page + 1) if page < int(answer["totalPageCount"]) else None,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise PaymentUnknown(f"iyzico's report cannot be read: {error!r}") from error


def _movement(row: Json) -> Movement | None:
    kind = _kind(row)
    if kind is None:
        return None
    return Movement(
        reference=f"{row['transactionType']}-{row['transactionId']}",
        kind=kind,
        booking_id=_booking(row.get("basketId")),
        amount=read_amount(row["paidPrice"], row["transactionCurrency"]),
        fee=_fee(row),
        happened_at=datetime.fromisoformat(row["transactionDate"]).replace(tzinfo=UTC),
    )


def _kind(row: Json) -> MovementKind | None:
    """None for what moves no money: a reservation that is voided."""
    taken = row["paymentPhase"] in TAKEN
    if row["transactionType"] == "PAYMENT":
        return MovementKind.CAPTURED if taken else MovementKind.HELD
    return MovementKind.REFUNDED if taken else None


def _fee(row: Json) -> Money | None:
    settled = row.get("settlementCurrency") or row["transactionCurrency"]
    so_much = sum(read_fee(row.get(part) or 0, settled).amount for part in ("iyzicoCommission", "iyzicoFee"))
    return Money(amount=so_much, currency=settled) if so_much else None


def _booking(basket: Any) -> UUID | None:
    try:
        return UUID(str(basket))
    except ValueError:
        return None
