"""A mail server of the test's own, which treats each recipient as its address says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

SILENCE = 40.0  # seconds
LATE = 1.5


class MoodyServer:
    """The part of an address before its hyphen is the mood in which the server meets its recipient.

    `later` always gets 451, `twice` gets it two times, `silent` gets no answer, `never` gets 550, `hangup` gets the
    end of the connection. `full` gets 452 for the mail; so does `sulky`, and no answer after that. `grim` gets 550 and
    no answer after that, `sour` the same with 554 for the mail. `stuck` gets no
    answer to DATA, `busy` gets 451 there, and `rude` the end of the connection. `slow` gets the mail before the server
    says so, of `deaf` it never says so, and `gone` gets the mail and the end of the connection. All others get it.

    Attributes:
        received: The recipients of the mails that were taken, in order.
        texts: What was taken, in the same order.
        tries: How often each recipient was named.
        is_healed: All get their mails.
        is_silent: A client has come to the point where it gets no answer.
        is_sulking: The last mail was that of a `sulky`, `grim` or `sour` one.
    """

    def __init__(self) -> None:
        self.received: list[str] = []
        self.texts: list[bytes] = []
        self.tries: Counter[str] = Counter()
        self.port = 0
        self.is_healed = False
        self.is_silent = False
        self.is_sulking = False

    async def say_nothing(self) -> None:
        self.is_silent = True
        await asyncio.sleep(SILENCE)

    def mood(self, address: str) -> str:
        return "good" if self.is_healed else address.partition("-")[0]

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        self.tries[address] += 1
        mood = self.mood(address)
        if mood == "silent":
            await self.say_nothing()
        if mood == "hangup":
            hang_up(server)
        if mood == "later" or (mood == "twice" and self.tries[address] <= 2):
            return "451 4.7.1 greylisted"
        self.is_sulking = mood in ("sulky", "grim", "sour")
        if mood in ("never", "grim"):
            return "550 5.1.1 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        mood = self.mood(envelope.rcpt_tos[0])
        if mood in ("full", "sulky"):
            return "452 4.2.2 mailbox full"
        if mood == "sour":
            return "554 5.7.1 spam"
        self.received += envelope.rcpt_tos
        assert isinstance(envelope.original_content, bytes)
        self.texts.append(envelope.original_content)
        if mood == "slow":
            await asyncio.sleep(LATE)
        if mood == "deaf":
            await self.say_nothing()
        if mood == "gone":
            hang_up(server)
        return "250 OK"


class _MoodySMTP(SMTP):
    """The protocol, with the moods that show before a server asks for the text, and after it refused one."""

    async def smtp_RSET(self, arg: str) -> None:  # noqa: N802 -- the library finds it by this name
        moody = self.event_handler
        assert isinstance(moody, MoodyServer)
        if moody.is_sulking:
            await moody.say_nothing()
        await super().smtp_RSET(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 -- the library finds it by this name
        moody = self.event_handler
        assert isinstance(moody, MoodyServer)
        assert self.envelope
        match moody.mood(self.envelope.rcpt_tos[0]):
            case "stuck":
                await moody.say_nothing()
            case "rude":
                hang_up(self)
            case "busy":
                await self.push("451 4.3.2 busy")
            case _:
                await super().smtp_DATA(arg)


def hang_up(server: SMTP) -> None:
    assert isinstance(server.transport, asyncio.Transport)
    server.transport.abort()


@asynccontextmanager
async def moody_server() -> AsyncIterator[MoodyServer]:
    """The server, listening on a port of its own."""
    moody = MoodyServer()
    listening = await asyncio.get_running_loop().create_server(
        lambda: _MoodySMTP(moody, hostname="mail.test", loop=asyncio.get_running_loop()), "127.0.0.1", 0
    )
    moody.port = listening.sockets[0].getsockname()[1]
    try:
        yield moody
    finally:
        listening.close()
