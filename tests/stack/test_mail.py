"""The mail catcher speaks as much of Mailpit's REST API as we use, and keeps what it caught."""

import json
import smtplib
import urllib.error
import urllib.parse
import urllib.request
from email.message import EmailMessage
from typing import Any

import pytest

from stack import Stack


def mail(to: str, subject: str, text: str = "your seats: A-1-12") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Seatwright <tickets@seatwright.test>"
    message["To"] = to
    message["Subject"] = subject
    message["Message-ID"] = f"<{abs(hash((to, subject)))}@seatwright.test>"
    message.set_content(text)
    return message


def send(stack: Stack, message: EmailMessage, *recipients: str) -> None:
    with smtplib.SMTP("127.0.0.1", stack.ports["smtp"]) as smtp:
        smtp.send_message(message, to_addrs=recipients or None)


def fetch(stack: Stack, path: str, method: str = "GET", body: bytes | None = None) -> bytes:
    request = urllib.request.Request(stack.env["SEATWRIGHT_MAIL_UI_URL"] + path, method=method, data=body)
    with urllib.request.urlopen(request) as answer:
        content: bytes = answer.read()
        return content


def ask(stack: Stack, path: str) -> Any:
    return json.loads(fetch(stack, path))


def found(stack: Stack, query: str) -> list[str]:
    listing = ask(stack, "/api/v1/search?query=" + urllib.parse.quote(query))
    assert listing["messages_count"] == len(listing["messages"])
    return [message["Subject"] for message in listing["messages"]]


@pytest.fixture
def stack(lasting: Stack) -> Stack:
    """The mail catcher is started once, and is empty when a test begins."""
    lasting.up("mail")
    fetch(lasting, "/api/v1/messages", "DELETE")
    return lasting


@pytest.fixture
def caught(stack: Stack) -> Stack:
    send(stack, mail("Ann Büyer <ann@example.test>", "Your tickets - Fidelio"))
    send(
        stack,
        mail("bob@example.test", "Your refund", "the money is on its way"),
        "bob@example.test",
        "blind@example.test",
    )
    return stack


def test_the_list_has_the_newest_first_and_all_survives_a_crash(caught: Stack) -> None:
    before = ask(caught, "/api/v1/messages")
    assert [message["Subject"] for message in before["messages"]] == ["Your refund", "Your tickets - Fidelio"]
    assert (before["total"], before["unread"], before["messages_count"]) == (2, 2, 2)
    assert before["messages"][1]["To"] == [{"Name": "Ann Büyer", "Address": "ann@example.test"}]
    assert before["messages"][0]["Bcc"] == [{"Name": "", "Address": "blind@example.test"}]
    caught.kill("mail")
    caught.start("mail")
    assert ask(caught, "/api/v1/messages") == before


SEARCHES = {
    "to:ann@example.test": ["Your tickets - Fidelio"],
    "to:ANN@example.test subject:fidelio": ["Your tickets - Fidelio"],
    "from:tickets@seatwright.test -to:ann": ["Your refund"],
    '"money is on"': ["Your refund"],
    "subject:your": ["Your refund", "Your tickets - Fidelio"],
    "is:unread A-1-12": ["Your tickets - Fidelio"],
    "is:read": [],
    "to:carol@example.test": [],
}
"""What is asked for, and the subjects that are found."""


def test_search_finds(caught: Stack) -> None:
    assert {query: found(caught, query) for query in SEARCHES} == SEARCHES


def test_a_message_has_its_texts_and_files_and_is_read_from_then_on(stack: Stack) -> None:
    message = mail("ann@example.test", "Tickets")
    message.add_alternative("<p>seats <img src='cid:code'></p><script>x</script>", subtype="html")
    message.get_payload()[1].add_related(b"\x89PNG", "image", "png", cid="<code>")  # type: ignore[union-attr, index]
    message.add_attachment(b"%PDF-1.7", "application", "pdf", filename="ticket.pdf")
    send(stack, message)
    summary = ask(stack, "/api/v1/messages")["messages"][0]
    one = ask(stack, f"/api/v1/message/{summary['ID']}")
    assert (one["Text"].strip(), summary["Attachments"], len(one["Inline"])) == ("your seats: A-1-12", 1, 1)
    [pdf] = one["Attachments"]
    assert pdf["FileName"] == "ticket.pdf"
    assert fetch(stack, f"/api/v1/message/{one['ID']}/part/{pdf['PartID']}") == b"%PDF-1.7"
    assert found(stack, "is:read has:attachment") == ["Tickets"]
    assert b"data:image/png;base64" in fetch(stack, f"/view/{one['ID']}.html")
    assert b"ticket.pdf" in fetch(stack, f"/view/{one['ID']}")
    assert b"Tickets" in fetch(stack, "/")


def test_messages_are_deleted_by_id_or_all_at_once(caught: Stack) -> None:
    newest = ask(caught, "/api/v1/messages")["messages"][0]["ID"]
    fetch(caught, "/api/v1/messages", "DELETE", json.dumps({"IDs": [newest]}).encode())
    assert [message["Subject"] for message in ask(caught, "/api/v1/messages")["messages"]] == ["Your tickets - Fidelio"]
    fetch(caught, "/api/v1/messages", "DELETE")
    assert ask(caught, "/api/v1/messages")["total"] == 0
    with pytest.raises(urllib.error.HTTPError, match="404"):
        ask(caught, f"/api/v1/message/{newest}")


def test_a_subject_cannot_run_in_the_page(stack: Stack) -> None:
    send(stack, mail("ann@example.test", "<script>alert(1)</script>"))
    assert b"<script>alert(1)" not in fetch(stack, "/")
