"""Mail through an SMTP server; text that a person typed can never become a header."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from time import monotonic
from typing import Any
from uuid import UUID

import aiosmtplib
from aiosmtplib.protocol import PERIOD_REGEX, normalize_message_line_endings
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from domain.addresses import deliverable
from domain.problems import ProblemType, Refused

_tracer = trace.get_tracer("seatwright.mail")
_LEAST = 1.0  # seconds for a second try on a new connection


class Deferred(Exception):
    """The mail server does not take this mail now; it may take others. The error text has no address."""


class Unconfirmed(Deferred):
    """The server has got the mail and does not say whether it takes it: it may have."""


class Undeliverable(Exception):
    """The mail server refuses this mail or its recipient for good. The error text has no address."""


@dataclass(frozen=True)
class Mail:
    """One mail to one person, by the address alone: a name is the person's own choice, and belongs in no header.

    Attributes:
        id: Becomes the Message-ID, so that a repetition is recognized.
        date: When the event happened that the mail is about.
    """

    id: UUID
    date: datetime
    to_address: str
    subject: str
    text: str
    html: str


class _Connection(aiosmtplib.SMTP):
    """A connection that knows from when to when the server may take a mail.

    Attributes:
        on_text: Called when the text of a mail has been sent, which the server has asked for by 354.
        in_doubt: The server has the text, and has not said whether it takes it.
    """

    on_text: Callable[[], None]
    in_doubt = False

    async def data(self, message: str | bytes, /, **_: Any) -> aiosmtplib.SMTPResponse:
        """As in the library, which does not say when the text begins; the caller limits the time."""
        ready = await self.execute_command(b"DATA", timeout=None)
        if ready.code != aiosmtplib.SMTPStatus.start_input:
            raise aiosmtplib.SMTPDataError(ready.code, ready.message)
        if self.protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost")
        self.protocol.write(_text_of(message))
        self.in_doubt = True
        self.on_text()
        taken = await self.protocol.read_response()
        self.in_doubt = False
        if taken.code != aiosmtplib.SMTPStatus.completed:
            raise aiosmtplib.SMTPDataError(taken.code, taken.message)
        return taken

    async def rset(self, **_: Any) -> aiosmtplib.SMTPResponse:
        """Send nothing: after a refusal the connection ends, and a server that stalls here would hide the refusal."""
        return aiosmtplib.SMTPResponse(aiosmtplib.SMTPStatus.completed, "")


class MailServer:
    """An SMTP server; its connections stay open for the next mail."""

    def __init__(self, host: str, port: int, sender: str) -> None:
        self._host = host
        self._port = port
        self._idle: list[_Connection] = []
        name, address = parseaddr(sender)
        self._sender = Address(name, addr_spec=address)

    async def send(self, mail: Mail, *, seconds: float = 30.0, accepting: float | None = None) -> None:
        """Hand a mail to the server.

        Args:
            mail: The mail.
            seconds: How long the server may take for it, once there is a connection.
            accepting: How long it may take from the moment when it gets the text: it may be delivering the mail, and
                a caller that leaves before its answer causes a second copy. None: the rest of `seconds`.

        Raises:
            Unconfirmed: The server gives no answer after it has got the text, or the caller's task is cancelled then.
            Undeliverable: The server refuses the mail for good.
            Deferred: It does not take this mail now, or gives no answer about it in time.
            Refused: UNAVAILABLE: the server cannot be reached.
        """
        message, until = compose(mail, self._sender), monotonic() + seconds
        with suppress(aiosmtplib.SMTPServerDisconnected):
            return await self._hand_over(message, deliverable(mail.to_address), seconds, accepting)
        # Perhaps the server was restarted. If it ends a new connection too, it does so because of this mail.
        self._forget_idle()
        try:
            await self._hand_over(message, deliverable(mail.to_address), max(_LEAST, until - monotonic()), accepting)
        except aiosmtplib.SMTPServerDisconnected:
            raise Deferred("the mail server ends the connection") from None

    async def _hand_over(self, message: EmailMessage, address: str, seconds: float, accepting: float | None) -> None:
        with _tracer.start_as_current_span("SMTP send", kind=SpanKind.CLIENT):
            await self._hand_to(message, address, seconds, accepting)

    async def _hand_to(self, message: EmailMessage, address: str, seconds: float, accepting: float | None) -> None:
        async with self._connection() as server:
            try:
                await _transmit(server, message, address, seconds, accepting)
            except (aiosmtplib.SMTPException, OSError, asyncio.CancelledError) as error:
                if server.in_doubt:
                    raise Unconfirmed(_why_in_doubt(error)) from None
                if isinstance(error, asyncio.CancelledError | aiosmtplib.SMTPServerDisconnected):
                    raise
                raise _meaning_of(error, seconds) from None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        """A connection for one mail at a time; after an error it is not used again."""
        while self._idle and not self._idle[-1].is_connected:
            self._idle.pop()
        server = self._idle.pop() if self._idle else await self._connected()
        try:
            yield server
        except BaseException:
            server.close()
            raise
        self._idle.append(server)

    async def _connected(self) -> _Connection:
        server = _Connection(hostname=self._host, port=self._port, timeout=10)
        try:
            await server.connect()
            await server.ehlo()
        except (aiosmtplib.SMTPException, OSError) as error:
            raise Refused(ProblemType.UNAVAILABLE, f"no mail server: {type(error).__name__}") from None
        return server

    def _forget_idle(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def close(self) -> None:
        """End the connections."""
        while self._idle:
            with suppress(aiosmtplib.SMTPException, OSError):
                await self._idle.pop().quit()


def compose(mail: Mail, sender: Address) -> EmailMessage:
    """The message as it is sent.

    Raises:
        Undeliverable: The recipient's address is not valid.
    """
    message = EmailMessage(policy=SMTP)
    try:
        message["To"] = Address(addr_spec=deliverable(mail.to_address))
    except (ValueError, IndexError, MessageError):
        raise Undeliverable("the recipient has no valid address") from None
    message["From"] = sender
    message["Subject"] = _one_line(mail.subject)
    message["Date"] = format_datetime(mail.date)
    message["Message-ID"] = f"<{mail.id}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(mail.text)
    message.add_alternative(mail.html, subtype="html")
    return message


async def _transmit(
    server: _Connection, message: EmailMessage, address: str, seconds: float, accepting: float | None
) -> None:
    async with asyncio.timeout(seconds) as limit:

        def text_begins() -> None:
            if accepting is not None:
                limit.reschedule(asyncio.get_running_loop().time() + accepting)

        server.on_text = text_begins
        await server.send_message(message, recipients=[address], timeout=seconds)


def _text_of(message: str | bytes) -> bytes:
    """The text as DATA sends it: a line that begins with a dot gets another one, and a dot alone is the end."""
    text = normalize_message_line_endings(message.encode("ascii") if isinstance(message, str) else message)
    return PERIOD_REGEX.sub(b"..", text) + b".\r\n"


def _why_in_doubt(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "the mail server did not say in time whether it takes the mail"
    if isinstance(error, asyncio.CancelledError):
        return "the wait for the mail server ended after it had got the mail"
    if isinstance(error, aiosmtplib.SMTPServerDisconnected):
        return "the mail server ended the connection after it had got the mail"
    return f"the connection failed after the mail was sent: {type(error).__name__}"


def _meaning_of(error: Exception, seconds: float) -> Exception:
    """What a failure means for a mail that the server has not got, or has answered."""
    match error:
        case TimeoutError():
            return Deferred(f"the mail server gave no answer in {seconds:g} s")
        case aiosmtplib.SMTPRecipientsRefused():
            return _error_for(error.recipients[0].code)
        case aiosmtplib.SMTPDataError():
            return _error_for(error.code)
        case aiosmtplib.SMTPNotSupported():
            return Undeliverable("the mail server does not support such addresses")
    return Refused(ProblemType.UNAVAILABLE, f"no mail server: {type(error).__name__}")


def _error_for(code: int) -> Exception:
    if code >= 500:
        return Undeliverable(f"the mail server refuses it: {code}")
    return Deferred(f"the mail server asks to try later: {code}")


def _one_line(text: str) -> str:
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
