"""Understands the part of Mailpit's search language that we use.

Words, "quoted phrases", `to:`, `from:`, `cc:`, `bcc:`, `addressed:`, `subject:`, `message-id:`, `is:read`, `is:unread`,
`has:attachment`, and a leading `-` or `!` for "not". All must hold; upper and lower case are the same.
"""

import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
TERM = re.compile(r'([-!]?)(?:([a-z-]+):)?(?:"([^"]*)"|(\S+))', re.IGNORECASE)


def matcher(query: str) -> Callable[[Json, str], bool]:
    """A test of a message's summary, together with its whole text, against the query."""
    tests = [_test(*term) for term in TERM.findall(query)]
    return lambda summary, text: all(test(summary, text) for test in tests)


def _test(negation: str, field: str, quoted: str, word: str) -> Callable[[Json, str], bool]:
    sought = (quoted or word).lower()
    if field.lower() == "is":
        return lambda summary, text: (sought == ("read" if summary["Read"] else "unread")) is not bool(negation)
    look = FIELDS.get(field.lower())
    if look is None:
        look, sought = _anywhere, f"{field}:{sought}".lower() if field else sought
    return lambda summary, text: (sought in look(summary, text)) is not bool(negation)


def _addresses(*names: str) -> Callable[[Json, str], str]:
    def look(summary: Json, text: str) -> str:
        listed = [summary[name] if isinstance(summary[name], list) else [summary[name]] for name in names]
        return "\n".join(f"{one['Name']} <{one['Address']}>" for some in listed for one in some).lower()

    return look


def _anywhere(summary: Json, text: str) -> str:
    return "\n".join((summary["Subject"], text, _addresses("From", "To", "Cc", "Bcc")(summary, text))).lower()


def _has(summary: Json, text: str) -> str:
    return "attachment attachments" if summary["Attachments"] else ""


FIELDS: dict[str, Callable[[Json, str], str]] = {
    "to": _addresses("To"),
    "from": _addresses("From"),
    "cc": _addresses("Cc"),
    "bcc": _addresses("Bcc"),
    "addressed": _addresses("From", "To", "Cc", "Bcc"),
    "subject": lambda summary, text: str(summary["Subject"]).lower(),
    "message-id": lambda summary, text: str(summary["MessageID"]).lower(),
    "has": _has,
}
