"""PayU's signature against vectors that PayU's own SDK is tested with, and against what our sandbox sends."""

from __future__ import annotations

import pytest

from adapters.payment.payu.signatures import is_signed
from sandbox.payu.messages import signature

# From the tests of github.com/PayU-EMEA/openpayu_php (tests/unit/OpenPayU_UtilTest.php, verifySignatureDataProvider):
# the body `OpenPayUData` under the key `SignatureKey`.
BODY, KEY = b"OpenPayUData", "SignatureKey"
OF_MD5 = "8375034eb737d520c829fad4026a38aa"
OF_SHA_256 = "8b2fd55b48f150347df56ce18d787335f32ced1d67f214016476f7c0a8f09981"
OF_SHA_1 = "52bb16149d1a5ccc8ac05f8e435c30d82efd5364"


@pytest.mark.parametrize(
    "header",
    [
        f"sender=checkout;signature={OF_MD5};algorithm=MD5;content=DOCUMENT",
        f"sender=145227;algorithm=SHA-256;signature={OF_SHA_256}",
        f"signature={OF_SHA_256}; algorithm=SHA256",
        f"sender=checkout;signature={OF_MD5.upper()};algorithm=MD5;content=DOCUMENT",
    ],
)
def test_what_payu_signs_is_believed(header: str) -> None:
    assert is_signed(BODY, header, [KEY])
    assert is_signed(BODY, header, ["the next key", KEY]), "while a key is being replaced"


@pytest.mark.parametrize(
    "header",
    [
        "",
        "sender=checkout;algorithm=MD5;content=DOCUMENT",
        f"sender=checkout;signature={OF_MD5}",
        "sender=checkout;signature=;algorithm=MD5;content=DOCUMENT",
        f"sender=checkout;signature={OF_MD5};algorithm=SHA-256;content=DOCUMENT",
        f"sender=checkout;signature={OF_SHA_1};algorithm=SHA-1;content=DOCUMENT",
        f"sender=checkout;signature={OF_MD5[:-1]}0;algorithm=MD5;content=DOCUMENT",
        "sender=checkout;signature=é;algorithm=MD5;content=DOCUMENT",
    ],
)
def test_anything_else_is_a_forgery(header: str) -> None:
    assert not is_signed(BODY, header, [KEY])


def test_a_changed_body_or_another_key_is_a_forgery() -> None:
    header = f"sender=checkout;signature={OF_MD5};algorithm=MD5;content=DOCUMENT"
    assert not is_signed(BODY + b" ", header, [KEY])
    assert not is_signed(BODY, header, ["another key"])
    assert not is_signed(BODY, header, [])


def test_the_sandbox_signs_as_payu_does() -> None:
    assert signature(BODY, KEY) == f"sender=checkout;signature={OF_MD5};algorithm=MD5;content=DOCUMENT"
