"""What may be a card's number is recognized however it is written, and what people really send is not taken for one."""

# ruff: noqa: RUF001 - letters that look alike are the subject
from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import product
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


GAPS = [
    "",
    " ",
    "-",
    "_",
    " - ",
    ".",
    "/",
    ",",
    ", ",
    ":",
    "|",
    "+",
    "*",
    "\u00b7",
    "\n",
    "\t",
    "  /  ",
    "\u00a0",
    "\u2013",
]
GAPS += ["\u200b", "\u200d", "\u2060", "\u00ad", "\ufeff", "\u202e", "\ufe0f", "\u3164", "\u2800", "\0"]  # not seen


@pytest.mark.parametrize("way", ["{}", "my card is {}, thank you", "x{}y", "pm_{}", "1 {} 12/29 123", "12/29: {}"])
def test_a_card_number_is_seen_however_it_is_written(way: str) -> None:
    for number, gap in product(NUMBERS, GAPS):
        written = way.format(gap.join(number[start : start + 4] for start in range(0, len(number), 4)))
        assert has_card_number(written), written


@pytest.mark.parametrize("zero", ["\uff10", "\u0660", "\u0966", "\U0001d7ce"])
def test_digits_of_other_alphabets_are_digits(zero: str) -> None:
    assert has_card_number("".join(chr(ord(zero) + int(digit)) for digit in NUMBERS[0]))


@pytest.mark.parametrize(
    "written",
    [
        "4242.4242-4242/4242",  # the gaps differ
        "4 2424 2424 2424 242",
        "42 4242 4242 4242 42",
        "424242 4242424242",
        "42424242 42424242",
        "3782 822463 10005",  # as American Express prints it
        "3056 930902 5904",
        "4222 222 222 222",
        "4.2.4.2.4.2.4.2.4.2.4.2.4.2.4.2",
        "42/42/42/42/42/42/42/42",
        "4\u200d2\u200d4\u200d2 4242 4242\u200d4242",
        "4\ufe0f\u20e32\ufe0f\u20e34\ufe0f\u20e32 4242 4242 4242",
        "\u2463\u2461\u2463\u2461 4242 4242 4242",  # digits in circles
        "+4242 4242 4242 4242",  # longer than any telephone number
        "+49 1512 3456789, 4242 4242 4242 4242",
        "+1 212 555 0100 4242 4242 4242 4242",
        "call 4242 4242 4242 4242",
        "order 4242-4242-4242-4242",
        "Bestellnummer 4242 4242 4242 4242",
        "sipari\u015f no 4242 4242 4242 4242",
        "order, card 4222222222222",
        "Rechnung, Karte 4222222222222",
        "Bestellkarte 4222222222222",
        "fatura, kart: 4222222222222",
        "biletim Visa 4222222222222",
        "Auftraggeber 4222222222222",
        "siparişler 4222222222222",
        "Karte 4222222222222",
        "kartım 4222222222222",
        "Bestellnummer 7, 4222222222222",
        "IBAN DE89 3704 0044 0532 0130 00, card 4242 4242 4242 4242",
        "DE89370400440532013000 4242424242424242",
        "DE88 4242 4242 4242 4242 42 4242424242424242",
        "4242424242424242.0",
        "1.5 4242424242424242",
        "23.11.2026 4242.4242.4242.4242",
    ],
)
def test_a_card_number_is_seen_beside_other_numbers_and_in_odd_groups(written: str) -> None:
    assert has_card_number(written)


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
        "4242x4242x4242x4242",
        "+378282246310005",
        "Please call +90 532 123 45 67",
        "Please call +90 532 123 45 67 or +90 533 123 45 67",
        "0532 123 45 67, 0533 123 45 67",
        "IBAN DE89 3704 0044 0532 0130 00",
        "DE89370400440532013000",
        "GB29 NWBK 6016 1331 9268 19",
        "TR33 0006 1005 1978 6457 8413 26",
        "order 2024-11-23-0001",
        "order 2024-11-23-00012",
        "2026-11-23 10:15:30.123456",
        "23.11.2026 10:15:30, 24.11.2026 11:15:30",
        "41.0082375123, 28.9783589123",
        "9780306406157",  # a book
        "192.168.100.200:65535",
        "seats 12, 14, 15, 16, 18, 20, 22, 24",
        "EUR 5000.00, 3000.00, 400.00",
        "0" * 16,
        "58087218219697c4",  # a random key
        "3C41005683297303",
    ],
)
def test_what_people_send_is_none(text: str) -> None:
    assert not has_card_number(text)


IBAN_OF_CARDS = "AB15" + 30 * "-6" + "/"
"""An IBAN of which eighteen parts have the first digits, the length and the check digit of a card's number."""


@pytest.mark.parametrize("text", ["4 0 1 " * 10_000, "41 " * 20_000, IBAN_OF_CARDS * 1000])
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


@pytest.mark.parametrize(
    "word",
    [
        "order", "Invoice no.", "booking", "Bestellnummer", "Bestell-Nr. zur Bestellung", "BESTELLUNG", "Rechnung",
        "Rechnung Nr.", "Rechnungsnr.:", "Buchungsnummer", "Reservierung", "Sendungsnummer:", "Ticketnr.",
        "Handynummer", "Auftrag",
        "sipariş no", "siparis no:", "SİPARİŞ NO", "siparişim:", "fatura no", "Fatura numarası:", "bilet no",
        "rezervasyon no", "cep", unicodedata.normalize("NFD", "sipariş no"),
    ],
)  # fmt: skip
def test_a_number_of_an_order_is_none_in_each_language_of_our_mails(word: str) -> None:
    assert has_card_number("4222222222222")
    for text in (f"{word} 4222222222222", f"{word} 30569309025904"):
        assert not has_card_number(text)


def _with_check_digit(digits: str) -> str:
    return next(digits + str(last) for last in range(10) if _passes_luhn(digits + str(last)))


def _passes_luhn(digits: str) -> bool:
    values = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits))]
    return sum(value // 10 + value % 10 for value in values) % 10 == 0


def _random_digits(chance: Random, count: int) -> str:
    return "".join(str(chance.randrange(10)) for _ in range(count))


def _iban(country: str, account: str) -> str:
    as_number = "".join(str(int(each, 36)) for each in account + country + "00")
    return f"{country}{98 - int(as_number) % 97:02}{account}"


def _blocks(text: str) -> str:
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


OTHERS: dict[str, Callable[[Random, str], str]] = {
    "an IBAN": lambda chance, card: _iban("AT", card),
    "an IBAN in blocks": lambda chance, card: f"my account is {_blocks(_iban('AT', card))}, please",
    "a longer IBAN": lambda chance, card: _blocks(_iban("DE", _random_digits(chance, 1) + card + "0")),
    "a telephone number abroad": lambda chance, card: "+" + _with_check_digit("49" + card[2:12]),
    "one with two noughts": lambda chance, card: "00 " + _with_check_digit("49" + card[2:12]),
    "one in words": lambda chance, card: "Tel.: " + _with_check_digit("49" + card[2:12]),
    "an order": lambda chance, card: "order no. " + _with_check_digit("49" + card[2:12]),
    "a fraction": lambda chance, card: f"{card[:2]}.{card[2:]}",
    "a moment": lambda chance, card: (
        f"{card[:4]}-{card[4:6]}-{card[6:8]} {card[8:10]}:{card[10:12]}:{card[12:14]}.{card[14:]}"
    ),
    "telephone numbers in a row": lambda chance, card: (
        f"{card[:3]} {card[3:6]} {card[6:8]} {card[8:10]} {card[10:13]} {card[13:]}"
    ),
    "amounts": lambda chance, card: f"{card[:4]}.{card[4:6]}, {card[6:10]}.{card[10:12]}, {card[12:14]}.{card[14:]}",
}
"""Texts that have a card's digits, and are none by what stands around them."""


@pytest.mark.parametrize("written", OTHERS.values(), ids=OTHERS)
def test_what_its_surroundings_show_to_be_another_number_is_none(written: Callable[[Random, str], str]) -> None:
    chance = Random(7)
    for _ in range(300):
        card = _with_check_digit("4" + _random_digits(chance, 14))
        assert has_card_number(card)
        text = written(chance, card)
        assert not has_card_number(text), text


def test_an_iban_with_a_wrong_check_digit_hides_no_card_number() -> None:
    assert has_card_number(_blocks(f"AT00{NUMBERS[0]}"))


def test_numbers_in_one_iban_are_none_and_those_in_very_many_ibans_count() -> None:
    assert not has_card_number(IBAN_OF_CARDS)
    assert has_card_number(IBAN_OF_CARDS * 6)
