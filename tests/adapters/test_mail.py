"""What a person typed into a name never changes the recipients or the headers of a mail."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.policy import default
from uuid import uuid4

import pytest

from adapters.mail import Mail, Undeliverable, compose

SENDER = Address("Seatwright", addr_spec="tickets@seatwright.example")
NAMES = [
    "Eve\r\nBcc: eve@x.test",
    f"Eve, <eve@x.test> {'e' * 80}",
    f'Eve" <eve@x.test>, "{"e" * 80}',
    f'Eve\\", <eve@x.test>, {"e" * 80}',
    f"Öz, <eve@x.test> {'e' * 80}",
    "Eve:;()[]",
    "",
]


def a_mail(*, name: str, address: str) -> Mail:
    return Mail(uuid4(), datetime(2030, 1, 1, tzinfo=UTC), address, f"About {name}", "text", "<p>html</p>")


@pytest.mark.parametrize("name", NAMES)
def test_a_name_adds_no_recipient_and_no_header(name: str) -> None:
    composed = compose(a_mail(name=name, address="ann@y.test"), SENDER)
    read = message_from_bytes(composed.as_bytes(), policy=default)
    assert [address.addr_spec for address in read["To"].addresses] == ["ann@y.test"]
    assert read.keys() == composed.keys()
    assert read["Bcc"] is None


def test_a_mail_without_a_valid_address_is_never_composed() -> None:
    with pytest.raises(Undeliverable):
        compose(a_mail(name="Eve", address="eve@"), SENDER)
