"""All spellings of an address are one address."""

from __future__ import annotations

import hmac
from hashlib import sha256

import pytest

from db.identity.vault import Vault
from domain.addresses import BadAddress, address_key, address_of, deliverable

SAME = {
    "Punycode": ("bob@bücher.example", "bob@xn--bcher-kva.example", "bob@XN--BCHER-KVA.example", "bob@BÜCHER.example"),
    "a domain, decomposed": ("bob@b\u00fccher.example", "bob@bu\u0308cher.example"),
    "a local part, decomposed": ("j\u00fcrgen@example.test", "ju\u0308rgen@example.test", "J\u00dcRGEN@example.test"),
    "case": ("Ada@Example.Test", "ada@example.test", "ADA@EXAMPLE.TEST"),
    "white space": ("ada@example.test", " ada@example.test", "ada@example.test\n"),
    "wide letters": ("ada@example.test", "ada@ｅｘａｍｐｌｅ.test", "ada@example。test"),  # noqa: RUF001
}
DIFFERENT = [
    ("bob@faß.example", "bob@fass.example"),
    ("a.b@example.test", "ab@example.test"),
    ("jürgen@example.test", "jurgen@example.test"),
    ("a@example.test", "a@example.example"),
    ("nobody", "nobody@example.test"),
]


@pytest.mark.parametrize("spellings", SAME.values(), ids=SAME)
def test_all_spellings_of_an_address_find_one_account(spellings: tuple[str, ...]) -> None:
    vault = Vault(["master"], "index")
    assert len({vault.address_hash(each) for each in spellings}) == 1
    assert len({vault.address_hash(address_of(each)) for each in spellings}) == 1


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_addresses_find_different_accounts(one: str, other: str) -> None:
    assert address_key(one) != address_key(other)


@pytest.mark.parametrize(
    "stored", ["ada@example.test", "Ada.Lovelace@example.test", "jürgen@example.test", "bob@bücher.example"]
)
def test_accounts_of_earlier_versions_are_still_found(stored: str) -> None:
    index = hmac.digest(b"index", b"seatwright addresses", sha256)
    before = hmac.digest(index, stored.casefold().encode(), sha256)
    assert Vault(["master"], "index").address_hash(stored) == before


@pytest.mark.parametrize(
    "text", ["", "nobody", "a@b@c", "a@", "@b.test", "a b@c.test", "a@b.test\x00", "\ud800@b.test"]
)
def test_a_text_that_is_no_address_is_refused_and_yet_searched_for(text: str) -> None:
    with pytest.raises(BadAddress):
        address_of(text)
    assert isinstance(address_key(text), str)


@pytest.mark.parametrize(
    ("stored", "sent"),
    [
        ("bob@bücher.example", "bob@xn--bcher-kva.example"),
        ("ada@example.test", "ada@example.test"),
        ("jürgen@example.test", "jürgen@example.test"),
        ("nobody", "nobody"),
    ],
)
def test_mail_goes_to_a_domain_that_every_server_knows(stored: str, sent: str) -> None:
    assert deliverable(stored) == sent
