"""Our own notes that travel through a browser: sealed, for one purpose, and valid for ten minutes."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, Final

import orjson

from api.auth.sealing import seal, unseal
from config.settings import Settings, secret

LASTS: Final = 600
"""Seconds: enough for the way to a provider and back, and for logging in there."""


def seal_note(settings: Settings, value: Mapping[str, Any], about: str) -> str:
    """A text that only `open_note` reads, with the same `about`."""
    plain = orjson.dumps({"value": value, "until": time.time() + LASTS})
    return base64.urlsafe_b64encode(seal(secret(settings.token_key_secret), plain, about)).decode()


def open_note(settings: Settings, text: str, about: str) -> dict[str, Any]:
    """What was sealed.

    Raises:
        ValueError: It is forged, too old, or about something else.
    """
    said = orjson.loads(unseal(secret(settings.token_key_secret), base64.urlsafe_b64decode(text), about))
    if time.time() > said["until"]:
        raise ValueError("too long ago")
    value: dict[str, Any] = said["value"]
    return value
