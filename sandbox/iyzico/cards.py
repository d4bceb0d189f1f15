"""iyzico's test cards and the result of each (docs.iyzico.com, Test Cards and Bank Error Codes)."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.intents import Intent


@dataclass(frozen=True)
class Card:
    """A test card.

    Attributes:
        failure: `code`, `group` and `message` of its bank's refusal.
        md_status: The result of 3-D Secure after the buyer's approval; only 1 is a success.
        initializes: Whether 3-D Secure can start with it.
        final: Whether its payments can be neither captured nor cancelled nor refunded.
    """

    number: str
    label: str
    association: str
    failure: dict[str, str] | None = None
    md_status: int = 1
    initializes: bool = True
    final: bool = False

    @property
    def masked(self) -> str:
        """The stored part of the number."""
        return f"{self.number[:6]}******{self.number[-4:]}"


REASONS = {
    "NOT_SUFFICIENT_FUNDS": ("10051", "Insufficient card limit, insufficient balance"),
    "DO_NOT_HONOUR": ("10005", "Transaction not approved"),
    "INVALID_TRANSACTION": ("10012", "Invalid transaction"),
    "LOST_CARD": ("10041", "Lost card, seize the card"),
    "STOLEN_CARD": ("10043", "Stolen card, seize the card"),
    "EXPIRED_CARD": ("10054", "Expired card"),
    "INVALID_CVC2": ("10084", "Incorrect CVC2"),
    "NOT_PERMITTED_TO_CARDHOLDER": ("10057", "The cardholder cannot make this transaction"),
    "NOT_PERMITTED_TO_TERMINAL": ("10058", "The terminal is not authorized for this transaction"),
    "FRAUD_SUSPECT": ("10034", "The payment did not pass the security check"),
    "UNKNOWN": ("10204", "A general error occurred during the payment"),
}


def failure(group: str) -> dict[str, str]:
    """The bank's reason of a refusal; unknown reasons become `DO_NOT_HONOUR`."""
    known = group if group in REASONS else "DO_NOT_HONOUR"
    code, message = REASONS[known]
    return {"code": code, "group": known, "message": message}


NOT_AUTHENTICATED = {"code": "10000", "group": "MDSTATUS_0", "message": "3-D Secure authentication failed"}
NOT_INITIALIZED = {"code": "10000", "group": "MDSTATUS_0", "message": "3-D Secure could not be initialized"}


def _declined(number: str, label: str, group: str) -> Card:
    return Card(number, label, "VISA", failure(group))


_ALL = (
    Card("5528790000000008", "Approved: Halkbank Mastercard", "MASTER_CARD"),
    Card("5890040000000016", "Approved: Akbank Mastercard debit", "MASTER_CARD"),
    Card("4603450000000000", "Approved: Denizbank Visa", "VISA"),
    Card("9792030000000000", "Approved: QNB Troy", "TROY"),
    Card("374427000000003", "Approved: Garanti American Express", "AMERICAN_EXPRESS"),
    Card("5400010000000004", "Approved: from abroad, Mastercard", "MASTER_CARD"),
    Card("5406670000000009", "Approved, but cannot be captured, cancelled or refunded", "MASTER_CARD", final=True),
    _declined("4111111111111129", "Not sufficient funds", "NOT_SUFFICIENT_FUNDS"),
    _declined("4129111111111111", "Do not honour", "DO_NOT_HONOUR"),
    _declined("4128111111111112", "Invalid transaction", "INVALID_TRANSACTION"),
    _declined("4127111111111113", "Lost card", "LOST_CARD"),
    _declined("4126111111111114", "Stolen card", "STOLEN_CARD"),
    _declined("4125111111111115", "Expired card", "EXPIRED_CARD"),
    _declined("4124111111111116", "Invalid CVC2", "INVALID_CVC2"),
    _declined("4123111111111117", "Not permitted to cardholder", "NOT_PERMITTED_TO_CARDHOLDER"),
    _declined("4122111111111118", "Not permitted to terminal", "NOT_PERMITTED_TO_TERMINAL"),
    _declined("4121111111111119", "Fraud suspect", "FRAUD_SUSPECT"),
    _declined("4130111111111118", "General error", "UNKNOWN"),
    Card("4131111111111117", "3-D Secure brings mdStatus 0", "VISA", md_status=0),
    Card("4141111111111115", "3-D Secure brings mdStatus 4", "VISA", md_status=4),
    Card("4151111111111112", "3-D Secure cannot be initialized", "VISA", initializes=False),
)
CARDS = {card.number: card for card in _ALL}
_BY_MASK = {card.masked: card for card in _ALL}


def card_of(intent: Intent) -> Card:
    """The card of the intent's latest attempt."""
    return _BY_MASK[str(intent.payment_method)]
