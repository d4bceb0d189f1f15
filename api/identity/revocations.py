"""What has been revoked, for our own processes that have no access to identity's database."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from adapters.internal.revocations import Revoked
from api.auth.guards import OUR_PROCESSES
from api.auth.tokens import AccessTokens

router = APIRouter(include_in_schema=False, dependencies=[OUR_PROCESSES])

Since = Annotated[float, Query(description="Seconds since the epoch", allow_inf_nan=False)]


@router.get("/internal/v1/revocations")
async def revocations(since: Since, request: Request) -> Response:
    """What this process has read from the database, at most some seconds ago."""
    tokens: AccessTokens = request.app.state.tokens
    found = Revoked(revoked={subject: at for subject, at in tokens.revoked.items() if at >= since})
    return Response(found.model_dump_json(), media_type="application/json")
