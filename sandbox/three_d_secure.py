"""The 3-D Secure page: the buyer approves or refuses, and is then redirected to the merchant."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import urlencode, urlsplit

from aiohttp import web

from sandbox.intents import Intent, Intents, State
from sandbox.store import Store

PAGE = Template(Path(__file__).with_suffix(".html").read_text(encoding="utf-8"))
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
}
BUTTONS = (
    '<form method="post"><button name="outcome" value="approve">Approve payment</button>'
    '<button name="outcome" value="fail" class="quiet">Fail authentication</button></form>'
)
OUTCOMES = {"approve": True, "fail": False}


class ThreeDSecure:
    """The challenge pages of one provider API.

    The API defines the effect of an outcome, the parameters of the return address and the text about the payment.
    """

    def __init__(
        self,
        store: Store,
        intents: Intents,
        decide: Callable[[Intent, bool], None],
        return_parameters: Callable[[Intent], dict[str, str]],
        describe: Callable[[Intent], str],
    ) -> None:
        self._store = store
        self._intents = intents
        self._decide = decide
        self._return_parameters = return_parameters
        self._describe = describe

    def routes(self, path: str) -> list[web.RouteDef]:
        """The routes to add to the application, under `path`."""
        return [web.get(f"{path}/{{token}}", self.show), web.post(f"{path}/{{token}}", self.submit)]

    async def show(self, request: web.Request) -> web.StreamResponse:
        """The page with both buttons; a challenge that is over only links back to the merchant."""
        with self._store.transaction():
            intent = self._intents.find_by_action(request.match_info["token"])
        if intent is None:
            return _page("This link is not valid any more", "", "", 404)
        if intent.state is not State.ACTION_REQUIRED:
            return _page(
                "There is nothing left to approve", self._describe(intent), _way_back(self._return_url(intent))
            )
        return _page("Approve this payment?", self._describe(intent), BUTTONS)

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """A second submission changes nothing and redirects like the first one."""
        outcome = (await request.post()).get("outcome")
        if outcome not in OUTCOMES:
            return _page("Please choose approve or fail", "", BUTTONS, 400)
        with self._store.transaction():
            intent = self._intents.find_by_action(request.match_info["token"])
            if intent is not None and intent.state is State.ACTION_REQUIRED:
                self._decide(intent, OUTCOMES[str(outcome)])
        if intent is None:
            return _page("This link is not valid any more", "", "", 404)
        return _back(self._return_url(intent))

    def _return_url(self, intent: Intent) -> str | None:
        url = intent.details.get("return_url")
        if url is None:
            return None
        parts = urlsplit(str(url))
        status = "succeeded" if intent.state in (State.AUTHORIZED, State.CAPTURED) else "failed"
        added = urlencode(self._return_parameters(intent) | {"redirect_status": status})
        query = f"{parts.query}&{added}" if parts.query else added
        return parts._replace(query=query).geturl()


def _back(url: str | None) -> web.StreamResponse:
    if url is None:
        return _page("Thank you, you can close this page", "", "")
    return web.Response(status=303, headers=HEADERS | {"Location": url})


def _way_back(url: str | None) -> str:
    return f'<p><a href="{escape(url)}">Back to the shop</a></p>' if url else ""


def _page(title: str, about: str, body: str, status: int = 200) -> web.Response:
    text = PAGE.substitute(title=escape(title), about=escape(about), body=body)
    return web.Response(status=status, text=text, content_type="text/html", headers=HEADERS)
