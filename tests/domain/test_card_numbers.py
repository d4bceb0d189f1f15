"""What may be a card's number is recognized however it is written, and what people really send is not taken for one."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import pytest
from uuid_utils import uuid7

from domain.card_numbers import has_card_number

NUMBERS = (
    "4242424242424242",
    "4222222222222",  # 13 digits
    "378282246310005",
    "30569309025904",
    "5555555555554444",
    "2223003122003222",
    "6011111111111117",
    "6304000000000000000",  # 19 digits
    "9792030394440796",
    "2200000000000004",
)


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("way", ["{}", "my card is {}, thank you", "x{}y", "pm_{}", "1 {} 12/29 123", "12/29: {}"])
@pytest.mark.parametrize("gap", ["", " ", "-", "_", " - ", "\u00a0", "\u2013"])
def test_a_card_number_is_seen_however_it_is_written(number: str, way: str, gap: str) -> None:
    written = gap.join(number[start : start + 4] for start in range(0, len(number), 4))
    assert has_card_number(way.format(written))


def test_digits_of_other_alphabets_are_digits() -> None:
    assert has_card_number("".join(chr(ord("\uff10") + int(digit)) for digit in NUMBERS[0]))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_with_a_wrong_check_digit_is_none(number: str) -> None:
    assert not has_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A-1-12",
        "A-1-99999999999999999999",
        "+49 1512 345 6789 0",
        "4.242424242424242",
        "4242/4242/4242/4242",
        "0" * 16,
        "58087218219697c4",  # a random key
        "3C41005683297303",
    ],
)
def test_what_people_send_is_none(text: str) -> None:
    assert not has_card_number(text)


@pytest.mark.parametrize("text", ["4 0 1 " * 10_000, "41 " * 20_000])
def test_many_short_groups_of_digits_cost_little_time(text: str) -> None:
    """As much as a body may have. It is compared with a simpler look at every digit, whatever the machine."""

    def cost(look: Callable[[str], object]) -> float:
        started = time.process_time()
        look(text)
        return time.process_time() - started

    simple = min(cost(lambda text: [unicodedata.decimal(digit, 0) for digit in text]) for _ in range(5))
    assert min(cost(has_card_number) for _ in range(3)) < 150 * simple


def test_ids_and_times_are_none() -> None:
    chance = Random(5)
    for _ in range(5_000):
        some = UUID(int=chance.getrandbits(128), version=4)
        assert not has_card_number(f"key-{some}")
        assert not has_card_number(some.hex)
        assert not has_card_number(str(uuid7()))
        assert not has_card_number(f"{chance.getrandbits(256):064x}")
        assert not has_card_number(f"key_{chance.randbytes(8).hex()}")
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(microseconds=chance.randrange(3 * 10**14))
        for unit in (1, 10**3, 10**6, 10**9):
            assert not has_card_number(str(int(moment.timestamp() * unit)))
        for form in ("%Y%m%d%H%M%S", "%Y%m%d%H%M%S%f", "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f"):
            assert not has_card_number(moment.strftime(form))
