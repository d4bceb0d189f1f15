"""Secrets that protect nothing: blank ones, and those of development mode, which are in the public source."""

from __future__ import annotations

from pydantic import SecretStr

DEVELOPMENT_SECRET = "development-only-secret-0123456789"
DEVELOPMENT_PAYLOAD_KEY = "c2VhdHdyaWdodC1kZXZlbG9wbWVudC1vbmx5LWtleSE"
_PUBLISHED = (DEVELOPMENT_SECRET, DEVELOPMENT_PAYLOAD_KEY)
_LISTS = frozenset({"token_key_secret", "temporal_payload_keys", "personal_data_keys"})


def is_blank(name: str, value: SecretStr) -> bool:
    """Whether a secret, or one of several, is one that everyone knows."""
    text = value.get_secret_value()
    return not all(each.strip() for each in (text.split(",") if name in _LISTS else [text]))


def is_published(value: SecretStr) -> bool:
    """Whether a secret, or one of several, is one of development mode."""
    return any(
        each.strip() == published or each.strip().endswith(f":{published}")
        for each in value.get_secret_value().split(",")
        for published in _PUBLISHED
    )
