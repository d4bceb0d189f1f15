"""Makes one booking through the public API, from the hold to the mail, and shows every step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import httpx2
from rich.console import Console
from sqlalchemy import text

from config.settings import Settings
from db.engine import open_engine
from domain.money import format_money
from temporal.connection import connect
from temporal.timeline import TimelineEntry, follow
from workflows.ids import booking_workflow_id

PASSWORD = "seatwright-demo-1"
_DEADLINE = 60.0  # seconds for mail, search and analytics

console = Console(highlight=False)

CATALOGUE = (
    ("Bach at Midnight", "classical", "Thomaskirche", "Leipzig", "DE", 51.3393, 12.3727, "EUR", 4500),
    ("Anatolian Rock Night", "rock", "Zorlu PSM", "Istanbul", "TR", 41.0671, 29.0170, "TRY", 95000),
    ("Jazz on the Canal", "jazz", "Bimhuis", "Amsterdam", "NL", 52.3784, 4.9131, "EUR", 3200),
    ("Open Air Cinema", "film", "Westonbirt Arboretum", "Tetbury", "GB", 51.6070, -2.2190, "GBP", 1800),
)


async def run(settings: Settings) -> None:
    """Book, pay, and wait for mail, search and analytics."""
    started = perf_counter()
    async with httpx2.AsyncClient(base_url=settings.api_url, timeout=30) as api:
        organizer = await _log_in(api, "organizer@example.test")
        buyer = await _log_in(api, "buyer@example.test")
        event = await _catalogue(api, organizer)
        counted, _ = await _sales(settings, event["id"])
        booking, trace = await _book(api, settings, buyer, event)
        await _wait_for_outcomes(api, settings, booking, event)
        await _wait_for_sale(settings, event, counted)
    console.print(f"\n[bold green]done[/] in {perf_counter() - started:.1f} s\n")
    _show_addresses(settings, booking, trace)


async def _log_in(api: httpx2.AsyncClient, email: str) -> dict[str, str]:
    answer = await api.post("/v1/sessions", json={"email": email, "password": PASSWORD})
    return {"Authorization": f"Bearer {_ok(answer)['access_token']}"}


async def _catalogue(api: httpx2.AsyncClient, organizer: dict[str, str]) -> dict[str, Any]:
    """Create the demo's events on the first run, and return the event to book."""
    found = {hit["name"]: hit for hit in _ok(await api.get("/v1/search", params={"q": "", "sort": "date"}))["hits"]}
    missing = [row for row in CATALOGUE if row[0] not in found]
    if missing:
        console.print(f"[bold]catalogue[/]  create and publish {len(missing)} events")
    created = [await _publish(api, organizer, row) for row in missing]
    return created[0] if created else _ok(await api.get(f"/v1/events/{found[CATALOGUE[0][0]]['event_id']}"))


async def _publish(api: httpx2.AsyncClient, organizer: dict[str, str], row: tuple[Any, ...]) -> dict[str, Any]:
    name, category, venue, city, country, latitude, longitude, currency, price = row
    body = {
        "name": name,
        "category": category,
        "venue": {"name": venue, "city": city, "country": country, "latitude": latitude, "longitude": longitude},
        "starts_at": (datetime.now(UTC) + timedelta(days=60)).replace(minute=0, second=0, microsecond=0).isoformat(),
        "currency": currency,
        "hold_seconds": 600,
        "sections": [
            {"name": "A", "kind": "seated", "rows": 20, "seats_per_row": 30, "price": price * 2},
            {"name": "B", "kind": "seated", "rows": 20, "seats_per_row": 30, "price": price},
            {"name": "Standing", "kind": "general", "capacity": 500, "price": price // 2},
        ],
    }
    event = _ok(await api.post("/v1/events", json=body, headers=organizer))
    _ok(await api.post(f"/v1/events/{event['id']}/publish", headers=organizer))
    return event


async def _book(
    api: httpx2.AsyncClient, settings: Settings, buyer: dict[str, str], event: dict[str, Any]
) -> tuple[dict[str, Any], str]:
    """The booking, and the trace of its hold, which has all that the saga does."""
    seats = await _two_free_seats(api, event)
    console.print(f"\n[bold]booking[/]    {event['name']}: {', '.join(seats)} and one standing place\n")
    held = await api.post(
        "/v1/bookings",
        json={"event_id": event["id"], "seats": seats, "quantities": {"Standing": 1}},
        headers=buyer | {"Idempotency-Key": str(uuid4())},
    )
    booking = _ok(held)
    timeline = asyncio.create_task(_show_timeline(settings, booking["id"]))
    paid = await api.post(
        f"/v1/bookings/{booking['id']}/payment",
        json={"provider": "stripe", "payment_method": "pm_card_visa"},
        headers=buyer | {"Idempotency-Key": str(uuid4())},
    )
    with suppress(TimeoutError):
        await asyncio.wait_for(timeline, 10)
    confirmed = _ok(paid)
    amount = format_money(confirmed["amount"], confirmed["currency"])
    console.print(f"\n[bold]{confirmed['status']}[/]  {amount}, {len(confirmed['tickets'])} tickets\n")
    return confirmed, held.headers.get("traceresponse", "--").split("-")[1]


async def _two_free_seats(api: httpx2.AsyncClient, event: dict[str, Any]) -> list[str]:
    sections = _ok(await api.get(f"/v1/events/{event['id']}/seats"))["sections"]
    seats = next(section["seats"] for section in sections if section["name"] == "A")
    free = [seat["name"] for seat in seats if seat["status"] == "available"]
    return free[:2]


async def _show_timeline(settings: Settings, booking_id: str) -> None:
    async for entry in follow(await connect(settings), booking_workflow_id(UUID(booking_id)), wait=True):
        _show(entry)


def _show(entry: TimelineEntry) -> None:
    tries = f"  [dim]({entry.attempts} tries)[/]" if (entry.attempts or 1) > 1 else ""
    problem = f"  [red]{entry.problem}[/]" if entry.problem else ""
    style = {"command": "cyan", "answer": "cyan", "step": "green", "ended": "bold"}.get(entry.kind, "dim")
    console.print(f"  {entry.at:%H:%M:%S.%f}"[:-3] + f"  [{style}]{entry.kind:<8}[/] {entry.what}{tries}{problem}")


async def _wait_for_outcomes(
    api: httpx2.AsyncClient, settings: Settings, booking: dict[str, Any], event: dict[str, Any]
) -> None:
    async with httpx2.AsyncClient(base_url=settings.mail_ui_url, timeout=10) as mail:

        async def mailed() -> str | None:
            found = await mail.get("/api/v1/search", params={"query": f"subject:{event['name']}"})
            for message in found.json()["messages"]:
                whole = (await mail.get(f"/api/v1/message/{message['ID']}")).json()
                if booking["id"] in whole["Text"]:
                    return f"{message['Subject']!r} to {message['To'][0]['Address']}"
            return None

        async def searched() -> str | None:
            hits = _ok(await api.get("/v1/search", params={"q": event["name"]}))["hits"]
            return next(
                (f"{hit['name']}, {hit['venue']['city']}" for hit in hits if hit["event_id"] == event["id"]), None
            )

        await _show_when("mail", mailed)
        await _show_when("search", searched)


async def _wait_for_sale(settings: Settings, event: dict[str, Any], counted: int) -> None:
    """Wait for one more sale than before; earlier runs have sales already."""

    async def grown() -> str | None:
        bookings, summary = await _sales(settings, event["id"])
        return summary if bookings > counted else None

    await _show_when("analytics", grown)


async def _sales(settings: Settings, event_id: str) -> tuple[int, str]:
    engine = open_engine(settings.database_url("analytics"), pool_size=2)
    try:
        async with engine.connect() as connection:
            found = await connection.execute(
                text("SELECT bookings, tickets, revenue, currency FROM sales WHERE event_id = :id"), {"id": event_id}
            )
            row = found.one_or_none()
    finally:
        await engine.dispose()
    if row is None:
        return 0, "nothing yet"
    revenue = format_money(row.revenue, row.currency)
    bookings = f"{row.bookings} booking{'' if row.bookings == 1 else 's'}"
    return row.bookings, f"{bookings}, {row.tickets} tickets, {revenue} for this event"


async def _show_when(what: str, read: Callable[[], Awaitable[str | None]]) -> None:
    deadline = perf_counter() + _DEADLINE
    while perf_counter() < deadline:
        seen = await read()
        if seen:
            console.print(f"[bold]{what:<10}[/] {seen}")
            return
        await asyncio.sleep(0.2)
    raise SystemExit(f"{what}: nothing after {_DEADLINE:.0f} s; see `seatwright stack logs consume relay`")


def _show_addresses(settings: Settings, booking: dict[str, Any], trace: str) -> None:
    workflow = booking_workflow_id(UUID(booking["id"]))
    console.print("Open:")
    for name, address in (
        ("API docs", f"{settings.api_url}/docs"),
        (
            "this booking in Temporal",
            f"{settings.temporal_ui_url}/namespaces/{settings.temporal_namespace}/workflows/{workflow}",
        ),
        ("its mail", settings.mail_ui_url),
        ("the payment sandbox", settings.sandbox_url),
    ):
        console.print(f"  {name:<26} {address}", soft_wrap=True)
    if settings.traces_ui_url:
        console.print(f"  {'its trace, as JSON':<26} {settings.traces_ui_url}/api/traces/{trace}", soft_wrap=True)
        console.print(f"  {'its trace, drawn here':<26} .venv/bin/seatwright trace show {trace}", soft_wrap=True)
    if settings.graphs_url:
        console.print(f"  {'graphs':<26} {settings.graphs_url}", soft_wrap=True)
    console.print("\nLog in as buyer@, organizer@, support@ or operator@example.test with", PASSWORD)
    console.print("`make stop` stops everything, `make clean` deletes its data.")


def _ok(answer: httpx2.Response) -> dict[str, Any]:
    if answer.is_error:
        raise SystemExit(f"{answer.request.method} {answer.request.url.path}: {answer.status_code} {answer.text}")
    body: dict[str, Any] = answer.json()
    return body
