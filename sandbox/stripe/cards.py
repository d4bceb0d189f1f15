"""Stripe's test payment methods and the result of charging each (docs.stripe.com/testing)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """A test card.

    Attributes:
        failure: `code`, `message` and perhaps `decline_code`, when the issuer refuses it.
        challenge: Whether the issuer requires 3-D Secure.
    """

    brand: str
    last4: str
    failure: dict[str, str] | None = None
    challenge: bool = False


MESSAGES = {
    "insufficient_funds": "Your card has insufficient funds.",
    "expired_card": "Your card has expired.",
    "incorrect_cvc": "Your card's security code is incorrect.",
    "processing_error": "An error occurred while processing your card. Try again in a little bit.",
}
CODES_OF_THEIR_OWN = frozenset({"expired_card", "incorrect_cvc", "processing_error"})


def failure(decline_code: str) -> dict[str, str]:
    """The reason of a refusal: most declines share the code `card_declined`, some have a code of their own."""
    code = decline_code if decline_code in CODES_OF_THEIR_OWN else "card_declined"
    message = MESSAGES.get(decline_code, "Your card was declined.")
    return {"code": code, "decline_code": decline_code, "message": message}


AUTHENTICATION_FAILURE = {
    "code": "payment_intent_authentication_failure",
    "message": "We are unable to authenticate your payment method. Please choose a different payment method and try "
    "again.",
}

APPROVED = {
    "pm_card_visa": Card("visa", "4242"),
    "pm_card_visa_debit": Card("visa", "5556"),
    "pm_card_mastercard": Card("mastercard", "4444"),
    "pm_card_mastercard_debit": Card("mastercard", "8210"),
    "pm_card_mastercard_prepaid": Card("mastercard", "5100"),
    "pm_card_amex": Card("amex", "8431"),
    "pm_card_discover": Card("discover", "9424"),
    "pm_card_diners": Card("diners", "0004"),
    "pm_card_jcb": Card("jcb", "0505"),
    "pm_card_unionpay": Card("unionpay", "0005"),
    "pm_card_us": Card("visa", "4242"),
    "pm_card_de": Card("visa", "0016"),
    "pm_card_fr": Card("visa", "0003"),
    "pm_card_gb": Card("visa", "0000"),
    "pm_card_pl": Card("visa", "0005"),
    "pm_card_threeDSecureOptional": Card("visa", "3055"),
    "pm_card_visa_threeDSecureNotSupported": Card("visa", "3055"),
}

DECLINES = {
    "chargeDeclined": ("0002", "generic_decline"),
    "chargeDeclinedInsufficientFunds": ("9995", "insufficient_funds"),
    "chargeDeclinedLostCard": ("9987", "lost_card"),
    "chargeDeclinedStolenCard": ("9979", "stolen_card"),
    "chargeDeclinedVelocityLimitExceeded": ("6975", "card_velocity_exceeded"),
    "chargeDeclinedFraudulent": ("0019", "fraudulent"),
    "chargeDeclinedExpiredCard": ("0069", "expired_card"),
    "chargeDeclinedIncorrectCvc": ("0127", "incorrect_cvc"),
    "chargeDeclinedProcessingError": ("0119", "processing_error"),
    "chargeCustomerFail": ("0341", "generic_decline"),
}

# Older pages spell a decline `pm_card_chargeDeclined…`, newer ones `pm_card_visa_chargeDeclined…`; both are taken.
DECLINED = {
    f"{prefix}{name}": Card("visa", last4, failure(decline_code))
    for name, (last4, decline_code) in DECLINES.items()
    for prefix in ("pm_card_", "pm_card_visa_")
}

CHALLENGED = {
    "pm_card_threeDSecure2Required": Card("visa", "3220", challenge=True),
    "pm_card_threeDSecureRequired": Card("visa", "3063", challenge=True),
    "pm_card_authenticationRequired": Card("visa", "3184", challenge=True),
    "pm_card_threeDSecureRequiredChargeDeclined": Card("visa", "1629", failure("generic_decline"), challenge=True),
}

CARDS = APPROVED | DECLINED | CHALLENGED
