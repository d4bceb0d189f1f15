"""Serves the description, and a page to read and try it that works without the internet."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response

from api.auth.guards import PUBLIC
from api.openapi.document import written

router = APIRouter(include_in_schema=False, dependencies=[PUBLIC])
_PAGES: Final = Path(__file__).parents[1] / "http" / "pages"
_CSP: Final = {"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"}


@router.get("/openapi.json")
async def document(request: Request) -> Response:
    """The description of all calls."""
    body, tag = await written(request.app)
    return Response(body, media_type="application/json", headers={"ETag": tag})


@router.get("/docs")
def page() -> Response:
    """The page that shows the reference of all calls."""
    return _file("docs.html", "text/html")


@router.get("/docs/docs.js")
def script() -> Response:
    """The page's script, served from here so that it works without the internet."""
    return _file("docs.js", "text/javascript")


@router.get("/docs/docs.css")
def style() -> Response:
    """The page's style sheet, served from here for the same reason."""
    return _file("docs.css", "text/css")


def _file(name: str, media_type: str) -> Response:
    return Response((_PAGES / name).read_bytes(), media_type=media_type, headers=_CSP)
