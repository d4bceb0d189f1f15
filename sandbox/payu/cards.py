"""The test cards of the payment page, and the result of each."""

from __future__ import annotations

from dataclasses import dataclass

Failure = dict[str, str]


def failure(code: str) -> Failure:
    """The reason of a refusal, as `cardResponseCode` and its text (PayU's API reference, Card Status Codes)."""
    return {"code": code, "message": f"{code} - {RESPONSES.get(code, 'authorization error')}"}


RESPONSES = {
    "S05": "Do not honor",
    "S43": "Pickup card (stolen card)",
    "S51": "Insufficient funds",
    "S54": "Expired card",
    "S61": "Exceeds approval amount",
    "SPF": "Possible fraud (do not try again)",
    "114": "3ds authentication error (global)",
}
AUTHENTICATION_FAILURE = failure("114")
ANY_REFUSAL = "S05"


@dataclass(frozen=True)
class Card:
    """A test card.

    Attributes:
        label: Its name on the payment page.
        failure: The reason if the issuer refuses it.
        challenge: Whether the issuer requires 3-D Secure.
    """

    label: str
    failure: Failure | None = None
    challenge: bool = False


CARDS = {
    "approved": Card("Approved at once"),
    "3ds": Card("Approved after 3-D Secure", challenge=True),
    "3ds-S51": Card("3-D Secure, then declined: insufficient funds", failure("S51"), challenge=True),
    "S51": Card("Declined: insufficient funds", failure("S51")),
    "S05": Card("Declined: do not honor", failure("S05")),
    "S54": Card("Declined: expired card", failure("S54")),
    "S43": Card("Declined: stolen card", failure("S43")),
    "S61": Card("Declined: exceeds approval amount", failure("S61")),
    "SPF": Card("Declined: possible fraud", failure("SPF")),
}
