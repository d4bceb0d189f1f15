"""The same people and client as the API's tests have."""

from __future__ import annotations

from tests.api.conftest import client, join, mailbox, new_event, superuser

__all__ = ["client", "join", "mailbox", "new_event", "superuser"]
