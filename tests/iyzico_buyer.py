"""A buyer's browser on the sandbox's iyzico page."""

from __future__ import annotations

import re
from html import unescape
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

APPROVED = "5528790000000008"
NO_FUNDS, DO_NOT_HONOUR, LOST, EXPIRED = "4111111111111129", "4129111111111111", "4127111111111113", "4125111111111115"


class Page(NamedTuple):
    """The page that the browser shows.

    Attributes:
        back_to: Where a form of the page would post the token: the shop's `callbackUrl`.
        token: What that form carries.
    """

    status: int
    text: str
    back_to: str | None = None
    token: str | None = None

    @property
    def title(self) -> str:
        return unescape(re.findall(r"<h1>(.*?)</h1>", self.text)[0])

    @property
    def alert(self) -> str | None:
        found = re.findall(r'role="alert"[^>]*>(.*?)</p>', self.text)
        return unescape(found[0]) if found else None


def open_page(url: str) -> Page:
    return _page(url, None)


def pay_with(url: str, card: str, *, with_3ds: bool = False) -> Page:
    """Choose a card and press Pay."""
    return _page(url, {"card": card} | ({"three_d_secure": "1"} if with_3ds else {}))


def authenticate(url: str, *, approve: bool) -> Page:
    """Approve or refuse at the bank."""
    return _page(url, {"outcome": "approve" if approve else "fail"})


def _page(url: str, form: dict[str, str] | None) -> Page:
    try:
        with urlopen(url, urlencode(form).encode() if form else None, timeout=90) as answer:
            return _read(answer.status, answer.read().decode())
    except HTTPError as error:
        with error:
            return _read(error.code, error.read().decode())


def _read(status: int, text: str) -> Page:
    back = re.search(r'action="([^"]+)"><input type="hidden" name="token" value="([^"]+)"', text)
    return Page(status, text, unescape(back[1]), back[2]) if back else Page(status, text)
