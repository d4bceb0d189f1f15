"""Describes every field and parameter: by its own text, by its model's docstring, or by what its name always means."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

_SECTION: Final = "\n\nAttributes:\n"
_ATTRIBUTE: Final = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.M)
_NONE: Final = re.compile(r"(?<!-)\bNone\b")

COMMON: Final[Mapping[str, str]] = {
    "accepted": "False for an invitation, which gives no rights.",
    "access_token": "Send it as `Authorization: Bearer`.",
    "action": "What was done.",
    "address": "The network address of the client; null where it is not known.",
    "amount": "In minor units.",
    "at": "When it happened (UTC).",
    "available": "How many places are free.",
    "booking_id": "The booking.",
    "bookings": "The bookings, newest first.",
    "bookings_in_flight": "Bookings that are held or being paid.",
    "bookings_to_refund": "Paid bookings with valid tickets.",
    "by_provider": "Minor units that the provider gave back instead, without our request.",
    "capacity": "How many places there are.",
    "category": "What kind of event it is, such as `theatre`.",
    "cause": "What started the refund.",
    "challenge": "The challenge of the log-in that waits for a code.",
    "channels": "How the person wants to be reached.",
    "city": "The city.",
    "client": "The application's name.",
    "client_id": "The application.",
    "code": "A code of the authenticator (six digits), or a recovery code.",
    "consents": "What I have allowed applications.",
    "count": "How many events there are.",
    "country": "ISO 3166-1 alpha-2.",
    "created_at": "When it was created (UTC).",
    "currency": "ISO 4217, such as `EUR`.",
    "data": "The payload, in base64.",
    "email": "The email address.",
    "email_verified": "Whether its owner has confirmed the address.",
    "event": "The event as messages to the buyer name it; null where it was not copied.",
    "event_id": "The event.",
    "event_name": "The event's name.",
    "exchange_id": "The exchange; null if there is none.",
    "exchange_policy": "When buyers may exchange a seat.",
    "expires_at": "When the hold ends (UTC).",
    "expires_in": "The lifetime of the access token in seconds.",
    "favourite_categories": "Categories of events that the person likes.",
    "fee": "Minor units that are kept.",
    "finished_at": "When it was finished (UTC); null while it runs.",
    "granted_at": "When it was granted (UTC).",
    "given_at": "When it was allowed, or when more was allowed (UTC).",
    "grant_id": "The grant.",
    "grants": "What applications may do in my name.",
    "history": "What the person did, and what was done to their account, newest first.",
    "hits": "The events of this page.",
    "hold_seconds": "For how many seconds seats are held for a buyer who has not paid.",
    "id": "Its id.",
    "kind": "Its kind.",
    "language": "BCP 47, such as `en`.",
    "last_used_at": "When it was used last (UTC).",
    "latitude": "In degrees (WGS 84).",
    "link_token": "The token of the log-in that found an existing account.",
    "linked_at": "When it was linked (UTC).",
    "longitude": "In degrees (WGS 84).",
    "members": "The members, and the people who are invited.",
    "metadata": "The payload's metadata; each value is in base64.",
    "name": "The name.",
    "new": "The new ticket.",
    "object": "What it was done to.",
    "old": "The ticket that is void now.",
    "old_password": "The current password.",
    "organizer_id": "The person or team that the event belongs to.",
    "outside_accounts": "The providers that I can log in with.",
    "password": "The password.",
    "paused": "Whether an operator has paused it.",
    "payloads": "The payloads, in order.",
    "payment_method": "The provider's token, never a card number; none if the buyer chooses on the provider's page.",
    "phone": "E.164, such as `+31201234567`; null where there is none.",
    "price": "For one place, in minor units.",
    "price_max": "The highest price, in minor units.",
    "price_min": "The lowest price, in minor units.",
    "profile": "The account.",
    "progress": "What is done, and what is left to do.",
    "proof_token": "Of `GET /v1/log-in/{provider}?fresh=true`; in place of the password.",
    "provider": "The provider's name.",
    "providers": "The payment providers that buyers may use; null: all that take the currency.",
    "quantities": "How many places of each general-admission section.",
    "radius_km": "The distance from `near`, in kilometres.",
    "reason": "The reason.",
    "refresh_token": "For the next tokens; it works once.",
    "refund_id": "The refund; null if there is none.",
    "refund_policy": "When buyers may give tickets back, and what is kept.",
    "refunded": "The money that went back to buyers, in minor units.",
    "requested_by": "The person who requested it.",
    "role": "What the person is in the team.",
    "roles": "The roles of the account.",
    "rows": "How many rows there are; null where seats are not numbered.",
    "scopes": "What the application may do.",
    "seat": "The seat's name: `section-row-number`.",
    "seats": "Numbered seats.",
    "seats_per_row": "How many seats a row has; null where seats are not numbered.",
    "second_factor": "Whether a second factor is active.",
    "section": "The section's name.",
    "sections": "The sections with their prices.",
    "session_id": "The session.",
    "sessions": "The open sessions.",
    "settled_at": "When the money was paid (UTC); null before.",
    "started_at": "When it was started (UTC).",
    "starts_at": "When the event begins.",
    "state": "Its state.",
    "status": "Its state.",
    "stranded": "The first refunds and exchanges that wait for an operator.",
    "step": "The name of the step that does not succeed.",
    "suggestions": "Names of events, the next event first.",
    "taken": "Minor units that buyers have paid.",
    "team_id": "The team.",
    "teams": "The teams and invitations.",
    "ticket": "The ticket.",
    "tickets": "The tickets.",
    "token_type": "The kind of the access token.",
    "user_agent": "The client's program; null where it is not known.",
    "user_id": "The person.",
    "value": "The value.",
    "venue": "Where the event takes place.",
    "version": "It grows with each change.",
    # Parameters of the query
    "q": "Words to search for.",
    "from": "Only events that begin then or later.",
    "to": "Only events that begin earlier.",
    "sort": "The order of the events.",
    "cursor": "The `next_cursor` of the previous page.",
    "size": "How many a page has at most.",
}
"""The meaning of a name in every model that does not describe it itself."""


def describe_schemas(schemas: Mapping[str, dict[str, Any]]) -> None:
    """Give each field of each model a description, and leave in a model's own only what is about the whole."""
    for schema in schemas.values():
        head, _, attributes = schema.get("description", "").partition(_SECTION)
        if head:
            schema["description"] = _in_json(head)
        said = dict(_attributes(attributes))
        for name, field in schema.get("properties", {}).items():
            _describe(field, name, said)


def describe_parameters(operation: Mapping[str, Any]) -> None:
    """Give each parameter of a call a description."""
    for parameter in operation.get("parameters", ()):
        inner = parameter.get("schema", {}).get("description")
        _describe(parameter, parameter["name"], {parameter["name"]: inner} if inner else {})


def _describe(field: dict[str, Any], name: str, said: Mapping[str, str]) -> None:
    known = field.get("description") or said.get(name) or COMMON.get(name)
    if known:
        field["description"] = _in_json(known)


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for found in _ATTRIBUTE.finditer(text):
        yield found[1], found[2]


def _in_json(text: str) -> str:
    """A text in one line, in JSON's words: docstrings say None where a client reads null."""
    return _NONE.sub("null", " ".join(text.split()))
