"""What is sealed opens for its owner and purpose alone, and old master keys still open what they wrapped."""

from __future__ import annotations

from uuid import uuid4

import pytest
from cryptography.exceptions import InvalidTag

from db.identity.vault import Vault


def test_what_is_sealed_for_one_person_and_purpose_opens_for_no_other() -> None:
    vault, ann, bob = Vault(["master"], "index"), uuid4(), uuid4()
    key, wrapped = vault.new_key(ann)
    sealed = key.seal("profile", b"Ann")
    assert vault.unwrap(ann, wrapped).open("profile", sealed) == b"Ann"
    with pytest.raises(InvalidTag):
        key.open("device", sealed)
    with pytest.raises(InvalidTag):
        vault.unwrap(bob, wrapped)
    with pytest.raises(InvalidTag):
        vault.new_key(ann)[0].open("profile", sealed)


def test_a_sealed_text_that_was_changed_does_not_open() -> None:
    key, _ = Vault(["master"], "index").new_key(uuid4())
    sealed = key.seal("profile", b"Ann")
    for place in (0, 12, len(sealed) - 1):
        with pytest.raises(InvalidTag):
            key.open("profile", sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])


def test_the_same_text_is_never_sealed_alike() -> None:
    key, _ = Vault(["master"], "index").new_key(uuid4())
    assert len({key.seal("profile", b"Ann") for _ in range(100)}) == 100


def test_a_new_master_key_wraps_and_the_old_one_still_opens() -> None:
    ann, bob = uuid4(), uuid4()
    _, by_old = Vault(["old"], "index").new_key(ann)
    both = Vault(["new", "old"], "index")
    both.unwrap(ann, by_old)
    _, by_new = both.new_key(bob)
    Vault(["new"], "index").unwrap(bob, by_new)
    with pytest.raises(KeyError):
        Vault(["new"], "index").unwrap(ann, by_old)


def test_an_address_is_found_in_whatever_case_and_its_hash_needs_the_secret() -> None:
    vault = Vault(["master"], "index")
    assert vault.address_hash("Ann@Example.Test") == vault.address_hash("ann@example.test")
    assert vault.address_hash("ann@example.test") != Vault(["master"], "other").address_hash("ann@example.test")


def test_a_mails_token_is_the_same_at_each_repetition_and_another_for_each_mail() -> None:
    vault, one = Vault(["master"], "index"), uuid4()
    assert vault.mail_token(one) == vault.mail_token(one) != vault.mail_token(uuid4())
