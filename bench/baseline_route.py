"""A bare FastAPI route with the body model of a hold and a constant refusal, under the API's server options."""

from __future__ import annotations

from typing import Final

from fastapi import FastAPI

from api.edge.connections import ConnectionBounds
from api.reservation.schemas import BookingBody
from api.server import serve

_REFUSAL: Final[dict[str, object]] = {
    "type": "seats-unavailable",
    "detail": "Somebody else has them.",
    "seats": ["A-1-1", "A-1-2"],
}


def main(port: int) -> None:
    """Serve until a signal stops the process."""
    app = FastAPI()

    @app.post("/v1/bookings", status_code=409)
    async def refuse(body: BookingBody) -> dict[str, object]:
        return _REFUSAL

    @app.get("/readyz")
    async def ready() -> None:
        return None

    serve(app, host="127.0.0.1", ports=[port], bounds=ConnectionBounds())
