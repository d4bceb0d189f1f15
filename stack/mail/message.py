"""Reads a raw mail into what Mailpit's API says of it."""

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import getaddresses
from functools import cached_property
from html import unescape
from typing import Any

Json = dict[str, Any]
SNIPPET_LENGTH = 250


@dataclass(frozen=True)
class Mail:
    """One mail as it came in; `recipients` is the envelope's, which alone knows of blind copies."""

    id: str
    received: datetime
    sender: str
    recipients: tuple[str, ...]
    raw: bytes

    @cached_property
    def parsed(self) -> EmailMessage:
        """The mail's structure."""
        return BytesParser(policy=policy.default).parsebytes(self.raw)


@dataclass(frozen=True)
class Part:
    """An attachment, or an image that the HTML shows."""

    id: str
    name: str
    content_type: str
    content_id: str
    content: bytes
    inline: bool

    def described(self) -> Json:
        """As Mailpit describes it."""
        sums = {name.upper(): hashlib.new(name, self.content).hexdigest() for name in ("md5", "sha1", "sha256")}
        return {
            "PartID": self.id,
            "FileName": self.name,
            "ContentType": self.content_type,
            "ContentID": self.content_id,
            "Size": len(self.content),
            "Checksums": sums,
        }


def summary(mail: Mail) -> Json:
    """One element of Mailpit's list of messages, as it is before it is read."""
    parsed = mail.parsed
    return {
        "ID": mail.id,
        "Read": False,
        **_envelope(mail, parsed),
        "Created": mail.received.isoformat(),
        "Username": "",
        "Tags": [],
        "Size": len(mail.raw),
        "Attachments": sum(not part.inline for part in parts(parsed)),
        "Snippet": _snippet(parsed),
    }


def full(mail: Mail) -> Json:
    """Mailpit's description of one message."""
    parsed = mail.parsed
    files = parts(parsed)
    return {
        "ID": mail.id,
        **_envelope(mail, parsed),
        "ReturnPath": mail.sender,
        "ListUnsubscribe": {"Header": _header(parsed, "List-Unsubscribe"), "Links": [], "Errors": "", "HeaderPost": ""},
        "Date": _date(mail, parsed),
        "Tags": [],
        "Username": "",
        "Text": body(parsed, "plain"),
        "HTML": body(parsed, "html"),
        "Size": len(mail.raw),
        "Inline": [part.described() for part in files if part.inline],
        "Attachments": [part.described() for part in files if not part.inline],
    }


def headers(mail: Mail) -> dict[str, list[str]]:
    """All headers, by name."""
    found: dict[str, list[str]] = {}
    for name, value in mail.parsed.items():
        found.setdefault(name, []).append(str(value))
    return found


def body(parsed: EmailMessage, kind: str) -> str:
    """The text in that form ('plain' or 'html'), or ''."""
    part = parsed.get_body((kind,))
    return str(part.get_content()) if part else ""


def text(parsed: EmailMessage) -> str:
    """The words of the mail, for searching."""
    return body(parsed, "plain") or body(parsed, "html")


def parts(parsed: EmailMessage) -> list[Part]:
    """All that is neither the text nor a container, numbered as they come."""
    texts = [part for part in (parsed.get_body(("plain",)), parsed.get_body(("html",))) if part]
    leaves = [part for part in parsed.walk() if not part.is_multipart()]
    numbered = [(number, leaf) for number, leaf in enumerate(leaves, 1) if leaf not in texts]
    return [_part(number, leaf) for number, leaf in numbered if isinstance(leaf, EmailMessage)]


def page(parsed: EmailMessage) -> str:
    """The HTML with its images inside, so that it can be shown with no access to anything; links open elsewhere."""
    html = '<base target="_blank">' + body(parsed, "html")
    for part in parts(parsed):
        if part.content_id:
            data = f"data:{part.content_type};base64,{base64.b64encode(part.content).decode()}"
            html = html.replace(f"cid:{part.content_id}", data)
    return html


def _part(number: int, leaf: EmailMessage) -> Part:
    content_id = str(leaf.get("Content-ID", "")).strip().strip("<>")
    name = leaf.get_filename() or f"part-{number}"
    content = leaf.get_payload(decode=True)
    content = content if isinstance(content, bytes) else b""
    inline = bool(content_id) and leaf.get_content_disposition() != "attachment"
    return Part(str(number), name, leaf.get_content_type(), content_id, content, inline)


def _envelope(mail: Mail, parsed: EmailMessage) -> Json:
    to, cc, bcc = (_addresses(parsed, name) for name in ("To", "Cc", "Bcc"))
    named = {address["Address"].lower() for address in (*to, *cc, *bcc)}
    bcc += [{"Name": "", "Address": address} for address in mail.recipients if address.lower() not in named]
    senders = _addresses(parsed, "From") or [{"Name": "", "Address": mail.sender}]
    return {
        "MessageID": _header(parsed, "Message-ID").strip("<>"),
        "From": senders[0],
        "To": to,
        "Cc": cc,
        "Bcc": bcc,
        "ReplyTo": _addresses(parsed, "Reply-To"),
        "Subject": _header(parsed, "Subject"),
    }


def _addresses(parsed: EmailMessage, name: str) -> list[dict[str, str]]:
    pairs = getaddresses([str(value) for value in parsed.get_all(name, [])])
    return [{"Name": display, "Address": address} for display, address in pairs if address]


def _header(parsed: EmailMessage, name: str) -> str:
    return str(parsed.get(name, "")).strip()


def _date(mail: Mail, parsed: EmailMessage) -> str:
    said = getattr(parsed.get("Date"), "datetime", None)
    return (said or mail.received).isoformat()


def _snippet(parsed: EmailMessage) -> str:
    words = body(parsed, "plain")
    if not words:
        visible = re.sub(r"(?is)<(style|script|head|title)\b.*?</\1>", " ", body(parsed, "html"))
        words = unescape(re.sub(r"<[^>]*>", " ", visible))
    words = " ".join(words.split())
    return words if len(words) <= SNIPPET_LENGTH else words[:SNIPPET_LENGTH] + "..."
