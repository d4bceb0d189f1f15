"""A buyer's browser on PayU's payment page and the bank's page."""

from __future__ import annotations

import re
from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import urlencode, urljoin, urlsplit


class PayUBuyer:
    """A browser that follows redirects; `at` is its current address."""

    def __init__(self, url: str | None) -> None:
        assert url is not None, "the buyer got no page to pay at"
        self.at = url

    def look(self) -> str:
        """The page's title and heading."""
        answer, text = self._send("GET")
        assert answer.status in (200, 303), answer.status
        if answer.status == 303:
            self.at = urljoin(self.at, str(answer.headers["Location"]))
            return self.look()
        found = re.search(r"<h1>(.*?)</h1>", text)
        assert found, text
        return found[1]

    def pay(self, card: str) -> str:
        """Choose a card; returns the next address: the bank or the merchant."""
        return self._submit(card=card)

    def answer(self, outcome: str) -> str:
        """Approve (`approve`) or refuse (`fail`) at the bank; returns the next address."""
        return self._submit(outcome=outcome)

    def _submit(self, **form: str) -> str:
        answer, text = self._send("POST", urlencode(form))
        assert answer.status == 303, (answer.status, text)
        self.at = urljoin(self.at, str(answer.headers["Location"]))
        return self.at

    def _send(self, method: str, body: str | None = None) -> tuple[HTTPResponse, str]:
        parts = urlsplit(self.at)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=90)
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if body else {}
        with closing(connection):
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer, answer.read().decode()
