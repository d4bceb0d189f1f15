"""Email addresses: one normalization for registration, look-up, reset, outside log-in and delivery."""

from __future__ import annotations

from unicodedata import normalize

from email_validator import EmailNotValidError, ValidatedEmail, validate_email


class BadAddress(ValueError):
    """The text is no email address."""


def address_of(text: str) -> str:
    """The address as it is stored: in NFC, its domain in small letters and in the letters that people read.

    Raises:
        BadAddress: It is no address of a mailbox.
    """
    return _validated(text).normalized


def address_key(text: str) -> str:
    """Equal for all spellings of one address: other case, another composition, a domain in Punycode.

    A text that is no address has a key, too; no account has it.
    """
    try:
        address = _validated(text)
    except BadAddress:
        return normalize("NFC", text.strip()).casefold()
    # A domain is in small letters already. Folding it further would make one of two domains, such as `ß` and `ss`.
    return f"{address.local_part.casefold()}@{address.domain}"


def deliverable(address: str) -> str:
    """The address as mail servers take it: with its domain in ASCII, so that few need the extension SMTPUTF8."""
    try:
        found = _validated(address)
    except BadAddress:
        return address
    return f"{found.local_part}@{found.ascii_domain}"


def _validated(text: str) -> ValidatedEmail:
    try:
        # `test_environment` admits the domain `test`, which belongs to no one.
        return validate_email(text.strip(), check_deliverability=False, test_environment=True)
    except EmailNotValidError as error:
        raise BadAddress(str(error)) from None
