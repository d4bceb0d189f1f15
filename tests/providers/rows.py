"""The table's rows: what happens, at which providers it cannot, and what of it is lived through at which size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tests.providers import paying, refunding
from tests.providers.checkouts import CHECKOUTS, Checkout
from tests.providers.paying import Act
from tests.scale import FULL, sample

A_MINUTE = 60.0 if FULL else 4.0
"""For how long a provider is away (seconds)."""
SHORT = 45 if FULL else 25
"""How long a short hold lasts (seconds): so long that a payment begins in it, beside the other rows."""

TIMEOUTS = ("timeout_before", "timeout_after")
OTHER_FAULTS = ("429", "500_before", "500_saved", "500_after", "reset_before", "reset_after")
NEVER_SAVED = "nothing is saved under a key there"
AT_THE_PAGE = "the buyer's browser authorizes on the provider's page: we make no call there"
LOOKED_UP_BY_DOUBT = "its answers tell the outcome: it is only looked up after another call went wrong"
NO_CLASS = "this provider's cards have no such answer"


class Row(NamedTuple):
    """Attributes: not_at: why there is none, by provider; is_hasty: the saga waits less than in production."""

    name: str
    act: Act
    not_at: Mapping[str, str] = {}
    hold_seconds: int = 900
    is_hasty: bool = False

    def __str__(self) -> str:
        return self.name


class Cell(NamedTuple):
    row: Row
    checkout: Checkout

    def __str__(self) -> str:
        return f"{self.row.name} at {self.checkout.name}"


def _declines() -> Iterator[Row]:
    for why in dict.fromkeys(why for checkout in CHECKOUTS for why in checkout.declines):
        not_at = {checkout.name: NO_CLASS for checkout in CHECKOUTS if why not in checkout.declines}
        yield Row(f"declined: {why}", paying.is_declined(why), not_at)


NOT_AT_PAGES = {"iyzico": AT_THE_PAGE, "payu": AT_THE_PAGE}
EFFECTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "create": ("create", {}),
    "authorize": ("confirm", NOT_AT_PAGES),
    "look up": ("retrieve", {"stripe": LOOKED_UP_BY_DOUBT}),
    "capture": ("capture", {}),
    "void": ("cancel", {}),
    "refund": ("refund", {}),
}


def _faults() -> Iterator[Row]:
    for effect, (operation, not_at) in EFFECTS.items():
        for kind in (*TIMEOUTS, *_others(effect)):
            elsewhere = {"iyzico": NEVER_SAVED, "payu": NEVER_SAVED} if kind == "500_saved" else {}
            yield Row(f"{kind.replace('_', ' ')} {effect}", _meeting(kind, operation), {**elsewhere, **not_at})


def _meeting(kind: str, operation: str) -> Act:
    if operation == "refund":
        return refunding.is_refunded_although(kind)
    return paying.meets_on_the_way_back(kind) if operation == "cancel" else paying.meets(kind, operation)


def _others(effect: str) -> tuple[str, ...]:
    """All where there is time, else one of each effect, drawn by the seed."""
    return tuple(sample(OTHER_FAULTS, 1, of=effect))


CANCELLED_ORDER = "an order is cancelled before its seats go back, and then takes no money"

ROWS: tuple[Row, ...] = (
    Row("approved", paying.pays),
    *_declines(),
    Row("3-D Secure accepted", paying.says_yes_at_the_bank),
    Row("3-D Secure refused", paying.says_no_at_the_bank),
    Row("3-D Secure walked away from", paying.walks_away_from_the_bank, is_hasty=True),
    Row("3-D Secure abandoned", paying.abandons_the_bank),
    Row("cancelled at 3-D Secure", paying.cancels_at_the_bank),
    Row("all webhooks lost", paying.never_comes_back_and_no_webhook_comes),
    Row("webhooks doubled, late, reordered", paying.webhooks_come_twice_late_and_in_any_order),
    *_faults(),
    Row("five clicks with one key", paying.clicks_five_times),
    Row("two orders with two keys", paying.orders_twice),
    Row("provider away at the order", paying.finds_provider_away(A_MINUTE, "*")),
    Row("provider away at the capture", paying.finds_provider_away(A_MINUTE, "capture")),
    Row("capture refused", paying.is_refused_the_capture),
    Row("the bank's hold lost before the capture", paying.loses_what_the_bank_reserved),
    Row("seats' hold over in mid-payment", paying.outlasts_the_hold, hold_seconds=SHORT),
    Row("late success", paying.pays_late, {"payu": CANCELLED_ORDER}, hold_seconds=SHORT),
    Row("refunded", refunding.is_refunded),
    Row("refund pending, failed, retried", refunding.waits_fails_and_succeeds),
)


def cells() -> list[Cell]:
    """All that can be, or each row at one provider; the slowest rows first, so that the table is done soon."""
    slow = sorted(ROWS, key=lambda row: (row.hold_seconds, "walked" not in row.name))
    return [cell for row in slow for cell in sample(_possible(row), 1, of=row.name)]


def _possible(row: Row) -> list[Cell]:
    return [Cell(row, checkout) for checkout in CHECKOUTS if checkout.name not in row.not_at]
