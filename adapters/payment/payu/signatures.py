"""PayU's signature of its notifications: a hash of the raw body with the point of sale's second key behind it."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import md5, sha256

HEADER = "OpenPayu-Signature"
# Which one is used is PayU's choice and named in the header; today it is MD5. Its older hashes are not taken.
ALGORITHMS = {
    "MD5": lambda signed: md5(signed, usedforsecurity=False).hexdigest(),
    "SHA-256": lambda signed: sha256(signed).hexdigest(),
    "SHA256": lambda signed: sha256(signed).hexdigest(),
}


def is_signed(body: bytes, header: str, second_keys: Sequence[str]) -> bool:
    """Whether one of the second keys (two of them while one is being replaced) signed a notification.

    Args:
        body: As it came, byte for byte.
        header: `sender=checkout;signature=…;algorithm=MD5;content=DOCUMENT`, in any order.
        second_keys: The keys of the point of sale that are valid now.
    """
    parts = dict(part.strip().partition("=")[::2] for part in header.split(";"))
    digest, signature = ALGORITHMS.get(parts.get("algorithm", "")), parts.get("signature", "").lower()
    if digest is None or not signature.isascii():
        return False
    # Each compared with each, so that the time it takes reveals nothing.
    return any([hmac.compare_digest(digest(body + key.encode()), signature) for key in second_keys])  # noqa: C419
