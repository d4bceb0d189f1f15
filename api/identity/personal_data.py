"""Seals and opens, for our own processes, what other services keep about a person; erased with the person's key."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

from cryptography.exceptions import InvalidTag
from fastapi import APIRouter

from adapters.internal.personal_data import Erasure, Purpose, Words
from api.auth.guards import OUR_PROCESSES
from api.identity.context import Identity, IdentityContext
from db.identity import accounts
from db.identity.vault import PersonalKey
from domain.problems import ProblemType, Refused

router = APIRouter(prefix="/internal/v1/users/{user_id}", include_in_schema=False, dependencies=[OUR_PROCESSES])


@router.post("/sealed")
async def seal(user_id: UUID, given: Words, context: Identity) -> Words:
    """Seal texts under the person's key; 404 for an erased person."""
    key = await _key_of(context, user_id)
    return Words(purpose=given.purpose, texts=tuple(sealed_text(key, given.purpose, text) for text in given.texts))


@router.post("/opened")
async def open_sealed(user_id: UUID, given: Words, context: Identity) -> Words:
    """Open what was sealed for this person and purpose; 404 for an erased person."""
    key = await _key_of(context, user_id)
    return Words(purpose=given.purpose, texts=tuple(_opened_text(key, given.purpose, text) for text in given.texts))


@router.get("/erasure")
async def erasure(user_id: UUID, context: Identity) -> Erasure:
    """Whether the person's account was erased; also for a person who never had one, who was not."""
    async with context.engine.connect() as connection:
        return Erasure(is_erased=await accounts.is_erased(connection, user_id))


def sealed_text(key: PersonalKey, purpose: Purpose, text: str) -> str:
    """A text under a person's key, in base64url; it opens for this purpose only."""
    return urlsafe_b64encode(key.seal(purpose, text.encode())).decode()


def _opened_text(key: PersonalKey, purpose: Purpose, text: str) -> str:
    try:
        return key.open(purpose, urlsafe_b64decode(text)).decode()
    except (InvalidTag, ValueError):
        raise Refused(ProblemType.INVALID_REQUEST, "texts: not sealed for this person and purpose") from None


async def _key_of(context: IdentityContext, user_id: UUID) -> PersonalKey:
    async with context.engine.connect() as connection:
        key = await accounts.key_of(connection, context.vault, user_id)
    if key is None:
        raise Refused(ProblemType.NOT_FOUND, "There is no such user.")
    return key
