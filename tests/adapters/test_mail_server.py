"""What the mail server says about one mail is told apart from a server that does not work."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import SMTP
from time import monotonic
from uuid import uuid4

import pytest

from adapters.mail import Deferred, Mail, MailServer, Unconfirmed, Undeliverable
from domain.problems import ProblemType, Refused
from tests.waiting import eventually
from tests.workers.mail_server import SILENCE, MoodyServer, moody_server


def a_mail(to: str) -> Mail:
    return Mail(uuid4(), datetime(2030, 1, 1, tzinfo=UTC), f"{to}-1@example.test", "Hello", "text", "<p>html</p>")


def connect(port: int) -> MailServer:
    return MailServer("127.0.0.1", port, "Seatwright <tickets@seatwright.example>")


@pytest.mark.parametrize(
    ("to", "error"),
    [
        ("later", Deferred),
        ("full", Deferred),
        ("silent", Deferred),
        ("hangup", Deferred),
        ("never", Undeliverable),
        ("stuck", Deferred),
        ("busy", Deferred),
        ("sulky", Deferred),
        ("grim", Undeliverable),
        ("sour", Undeliverable),
        ("rude", Deferred),
        ("deaf", Unconfirmed),
        ("gone", Unconfirmed),
    ],
)
async def test_a_mail_that_fails_alone_says_so_in_time_and_the_next_one_is_sent(
    to: str, error: type[Exception]
) -> None:
    async with moody_server() as moody:
        server, begun = connect(moody.port), monotonic()
        await server.send(a_mail("ann"))
        with pytest.raises(error) as failure:
            await server.send(a_mail(to), seconds=0.5)
        assert type(failure.value) is error  # what is in doubt gets few retries, all others get a day of them
        assert monotonic() - begun < 4
        assert "example.test" not in str(failure.value)
        await server.send(a_mail("bob"))
        await server.close()
    taken = [f"{to}-1@example.test"] if error is Unconfirmed else []
    assert moody.received == ["ann-1@example.test", *taken, "bob-1@example.test"]


@pytest.mark.parametrize(("to", "error"), [("silent", asyncio.CancelledError), ("stuck", asyncio.CancelledError)])
async def test_a_wait_that_ends_before_the_text_leaves_no_doubt(to: str, error: type[BaseException]) -> None:
    async with moody_server() as moody:
        sending = await _cancelled(moody, to)
        with pytest.raises(error):
            await sending
    assert moody.received == []


async def test_a_wait_that_ends_after_the_text_leaves_the_mail_in_doubt() -> None:
    async with moody_server() as moody:
        sending = await _cancelled(moody, "deaf")
        with pytest.raises(Unconfirmed):
            await sending
    assert moody.received == ["deaf-1@example.test"]


async def _cancelled(moody: MoodyServer, to: str) -> asyncio.Task[None]:
    sending = asyncio.create_task(connect(moody.port).send(a_mail(to), seconds=SILENCE, accepting=SILENCE))
    await eventually(lambda: moody.is_silent)
    sending.cancel()
    return sending


async def test_a_mail_arrives_as_it_was_written_with_dots_at_line_ends_and_beginnings() -> None:
    text = ".\n..\n.hidden\nend.\n.\n"
    async with moody_server() as moody:
        server = connect(moody.port)
        await server.send(replace(a_mail("ann"), text=text))
        await server.close()
    [taken] = moody.texts
    part = message_from_bytes(taken, policy=SMTP).get_body(("plain",))
    assert part
    assert part.get_content().replace("\r\n", "\n") == text


async def test_a_server_that_accepts_late_gets_one_copy_from_who_waits() -> None:
    async with moody_server() as moody:
        server = connect(moody.port)
        await server.send(a_mail("slow"), seconds=0.5, accepting=20)
        with pytest.raises(Unconfirmed):
            await server.send(a_mail("slow"), seconds=0.5)
        with pytest.raises(Unconfirmed):
            await server.send(a_mail("deaf"), seconds=5, accepting=0.5)
        await server.close()
    assert moody.received == ["slow-1@example.test"] * 2 + ["deaf-1@example.test"]


async def test_a_server_that_cannot_be_reached_concerns_every_mail() -> None:
    with pytest.raises(Refused) as refused:
        await connect(9).send(a_mail("ann"))
    assert refused.value.problem.type is ProblemType.UNAVAILABLE


async def test_a_server_that_was_restarted_gets_the_mail_on_a_new_connection() -> None:
    async with moody_server() as moody:
        server = connect(moody.port)
        await server.send(a_mail("ann"))
        ended = server._idle[-1]
        await ended.quit()
        await eventually(lambda: not ended.is_connected)
        await server.send(a_mail("bob"))
        await server.close()
    assert moody.received == ["ann-1@example.test", "bob-1@example.test"]
