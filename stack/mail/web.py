"""Mailpit's REST API, as far as we use it, and a page to read mail on.

The shapes and paths are Mailpit's, because docker-compose.yml runs Mailpit itself and no client must see a difference.
"""

import json
from pathlib import Path
from urllib.parse import quote

from aiohttp import web
from jinja2 import Environment, FileSystemLoader

from stack.mail import message
from stack.mail.message import Json, Mail
from stack.mail.search import matcher
from stack.mail.store import Store

STORE = web.AppKey("store", Store)
PAGES = Environment(loader=FileSystemLoader(Path(__file__).parent / "pages"), autoescape=True)
# Mail is shown as it came, but may fetch nothing, run nothing and open nothing.
NOTHING_ELSE = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; font-src data:; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)

routes = web.RouteTableDef()


def application(store: Store) -> web.Application:
    """The web server's routes over this store."""
    app = web.Application()
    app[STORE] = store
    app.add_routes(routes)
    return app


@routes.get("/livez")
@routes.get("/readyz")
async def ready(request: web.Request) -> web.Response:
    """Mailpit's own health pages."""
    request.app[STORE].counts()
    return web.Response(text="ok")


@routes.get("/api/v1/messages")
async def messages(request: web.Request) -> web.Response:
    """A page of the list, newest first."""
    start, limit = _page(request)
    store = request.app[STORE]
    total, _ = store.counts()
    return _listing(store, store.page(start, limit), total, start)


@routes.get("/api/v1/search")
async def search(request: web.Request) -> web.Response:
    """A page of those that match the query."""
    query = request.query.get("query", "").strip()
    if not query:
        return web.Response(status=400, text="Error: no search query")
    start, limit = _page(request)
    found = request.app[STORE].search(matcher(query))
    return _listing(request.app[STORE], found[start : start + limit], len(found), start)


@routes.delete("/api/v1/messages")
async def delete(request: web.Request) -> web.Response:
    """Delete those named in the body, or all."""
    body = await request.text()
    try:
        identifiers = json.loads(body).get("IDs") if body.strip() else []
    except (ValueError, AttributeError):
        return web.Response(status=400, text="Error: the body is no JSON object")
    if identifiers:
        request.app[STORE].delete(identifiers)
    else:
        request.app[STORE].delete_all()
    return web.Response(text="ok")


@routes.get("/api/v1/message/{id}")
async def one(request: web.Request) -> web.Response:
    """One message, which counts as read from now on."""
    mail = _mail(request)
    request.app[STORE].mark_read(mail.id)
    return web.json_response(message.full(mail))


@routes.get("/api/v1/message/{id}/headers")
async def headers(request: web.Request) -> web.Response:
    """The headers of one message."""
    return web.json_response(message.headers(_mail(request)))


@routes.get("/api/v1/message/{id}/raw")
async def raw(request: web.Request) -> web.Response:
    """The message as it came."""
    return web.Response(body=_mail(request).raw, content_type="text/plain", charset="utf-8")


@routes.get("/api/v1/message/{id}/part/{part}")
async def part(request: web.Request) -> web.Response:
    """An attachment."""
    for found in message.parts(_mail(request).parsed):
        if found.id == request.match_info["part"]:
            save = {
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(found.name)}",
                "X-Content-Type-Options": "nosniff",
            }
            return web.Response(body=found.content, content_type=found.content_type, headers=save)
    raise web.HTTPNotFound


@routes.get("/")
async def inbox(request: web.Request) -> web.Response:
    """The page with the list."""
    store, query = request.app[STORE], request.query.get("q", "").strip()
    found = store.search(matcher(query)) if query else store.page(0, 200)
    total, unread = store.counts()
    return _html("inbox.html", mails=found[:200], total=total, unread=unread, query=query)


@routes.post("/delete")
async def empty(request: web.Request) -> web.Response:
    """The list's button: delete all."""
    if request.headers.get("Sec-Fetch-Site", "same-origin") not in ("same-origin", "none"):
        raise web.HTTPForbidden  # a page elsewhere must not empty the inbox
    request.app[STORE].delete_all()
    raise web.HTTPSeeOther("/")


@routes.get("/view/{id:[^/.]+}")
async def view(request: web.Request) -> web.Response:
    """The page with one message."""
    mail = _mail(request)
    request.app[STORE].mark_read(mail.id)
    return _html("message.html", mail=message.full(mail), received=mail.received)


@routes.get("/view/{id}.html")
async def content(request: web.Request) -> web.Response:
    """The HTML of one message, for the frame in which it is shown."""
    html = message.page(_mail(request).parsed)
    return web.Response(text=html, content_type="text/html", headers={"Content-Security-Policy": NOTHING_ELSE})


def _mail(request: web.Request) -> Mail:
    mail = request.app[STORE].get(request.match_info["id"])
    if mail is None:
        raise web.HTTPNotFound(text="message not found")
    return mail


def _page(request: web.Request) -> tuple[int, int]:
    def number(name: str, default: int) -> int:
        text = request.query.get(name, "")
        return int(text) if text.isdecimal() else default

    return number("start", 0), number("limit", 50)


def _listing(store: Store, summaries: list[Json], matching: int, start: int) -> web.Response:
    total, unread = store.counts()
    return web.json_response(
        {
            "total": total,
            "unread": unread,
            "count": len(summaries),
            "messages_count": matching,
            "messages_unread": unread,
            "start": start,
            "tags": [],
            "messages": summaries,
        }
    )


def _html(page: str, **values: object) -> web.Response:
    return web.Response(text=PAGES.get_template(page).render(**values), content_type="text/html")
