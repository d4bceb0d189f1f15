"""The currencies of the Stripe API, with the smallest and largest charge."""

from __future__ import annotations

from sandbox.stripe.errors import ApiError

ZERO_DECIMAL = frozenset(
    {"bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xof", "xpf"}
)
THREE_DECIMAL = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
"""Their amounts must end in 0 (docs.stripe.com/currencies#three-decimal); isk and ugx, written with two decimals for
compatibility, must end in 00."""
WHOLE_UNITS_ONLY = frozenset({"isk", "ugx"})

LEAST = {
    "aed": 200, "czk": 1500, "dkk": 250, "gbp": 30, "hkd": 400, "huf": 17500, "jpy": 50, "mxn": 1000, "myr": 200,
    "nok": 300, "pln": 200, "ron": 200, "sek": 300, "thb": 1000, "bgn": 100,
}  # fmt: skip
"""The smallest charge in minor units, if it is not 50 (docs.stripe.com/currencies, minimum charge amounts)."""
LEAST_ELSEWHERE = 50
DIGITS = {"idr": 12, "lbp": 11, "cop": 10, "huf": 10, "jpy": 10, "inr": 9}
DIGITS_ELSEWHERE = 8
"""How many digits the largest charge may have (same page; for cards)."""

TWO_DECIMAL = """
usd aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd bwp byn bzd cad cdf chf cny cop
crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr jmd kes kgs khr
kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen pgk
php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah uyu uzs
wst xcd xcg yer zar zmw
"""
CURRENCIES = ZERO_DECIMAL | THREE_DECIMAL | WHOLE_UNITS_ONLY | frozenset(TWO_DECIMAL.split())


def written(amount: int, currency: str) -> str:
    """An amount as Stripe writes it in messages, such as `$25.00` or `¥500`."""
    sign = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}.get(currency)
    decimals = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    number = f"{amount / 10**decimals:,.{decimals}f}"
    return f"{sign}{number}" if sign else f"{number} {currency}"


def check_amount(amount: int, currency: str) -> None:
    """Raises: ApiError: Not a currency, not a multiple of its step, `amount_too_small` or `amount_too_large`."""
    if currency not in CURRENCIES:
        raise ApiError(f"Invalid currency: {currency}.", param="currency")
    _check_step(amount, currency)
    least = LEAST.get(currency, LEAST_ELSEWHERE)
    if amount < least:
        message = f"Amount must be at least {written(least, currency)} {currency}"
        raise ApiError(message, code="amount_too_small", param="amount")
    most = 10 ** DIGITS.get(currency, DIGITS_ELSEWHERE) - 1
    if amount > most:
        message = f"Amount must be no more than {written(most, currency)} {currency}"
        raise ApiError(message, code="amount_too_large", param="amount")


def _check_step(amount: int, currency: str) -> None:
    step = 10 if currency in THREE_DECIMAL else 100 if currency in WHOLE_UNITS_ONLY else 1
    if amount % step:
        message = f"Invalid amount: amounts in {currency} must be evenly divisible by {step}."
        raise ApiError(message, code="parameter_invalid_integer", param="amount")
