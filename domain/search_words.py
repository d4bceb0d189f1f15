# ruff: noqa: RUF001 - letters that look alike are the subject
"""The words of names, in one form for all their spellings: the index and the questions both go through here.

Elasticsearch gets words that are ready to be compared, because its filters for letters, punctuation and joined words
differ from one distribution to the next, and because a question has to be read exactly as the name was.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby, islice, pairwise
from typing import Final, NamedTuple

_APOSTROPHES: Final = dict.fromkeys(map(ord, "'`´’‘‛ʼʻʽʾʿˈ′＇"), "'")
_LETTERS: Final = str.maketrans(
    {
        "ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "ŋ": "n", "ə": "e", "æ": "ae", "œ": "oe",
        "þ": "th", "ß": "ss", "ĸ": "k",
        "ی": "ي", "ى": "ي", "ک": "ك", "ة": "ه", "ـ": "",
    }
)  # fmt: skip
"""Letters that no decomposition makes plain: with strokes, ligatures, and Arabic ones as other countries write them."""

_SYMBOLS: Final = {"$": "s", "€": "e", "£": "l", "@": "a", "!": "i"}
"""Symbols that stand for letters in names, as in `Ke$ha`."""

_DIGITS: Final = str.maketrans("013457", "oieast")
"""Digits that stand for letters in names, as in `Deadmau5`."""

_SEPARATE_UMLAUTS: Final = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe"})
_WRITTEN_UMLAUTS: Final = re.compile("([ao])e|(?<![aeoq])(u)e|(a)a")
_MOST_JOINED: Final = 3

MOST_ASKED: Final = 40
"""Words of a question; a search engine bounds the clauses of one."""

_LONGEST_ASKED: Final = 200
"""Letters of a question in their one form: a single character may be eighteen letters and four words (U+FDFA)."""

_LONGEST_KEY: Final = 513
"""Letters of a key in a question. The index has none of more than 256, and `plain_key` halves one at most."""


def fold(text: str) -> str:
    """The text in small letters without accents; what stays different are other letters, not other spellings.

    Signs that make up a letter (of Hindi, Thai, Japanese) stay; those that are added to one (accents, vowel points of
    Arabic and Hebrew) go.
    """
    small = unicodedata.normalize("NFKD", text.translate(_APOSTROPHES)).casefold()
    parts = unicodedata.normalize("NFKD", small)
    added = {ord(each): None for each in set(parts) if _is_added(each)}  # a text has few different characters
    return unicodedata.normalize("NFC", parts.translate(added).translate(_LETTERS))


def _is_added(character: str) -> bool:
    combining = unicodedata.combining(character)
    return 10 <= combining <= 36 or combining >= 200 or unicodedata.category(character) == "Cf"


class Chunk(NamedTuple):
    """What stands between two spaces.

    Attributes:
        words: Its runs of letters or of digits, as `o` and `connor` in `O'Connor`.
        joined: Its other readings as one word, as `oconnor`, and `kesha` of `Ke$ha`.
    """

    words: tuple[str, ...]
    joined: tuple[str, ...]


def chunks(text: str) -> list[Chunk]:
    """The chunks of a text that have words."""
    return _chunks(fold(text))


def _chunks(folded: str) -> list[Chunk]:
    read = (_chunk(part) for part in folded.split())
    return [chunk for chunk in read if chunk.words]


def asked_chunks(question: str) -> list[Chunk]:
    """The chunks of the beginning of a question, as far as a search reads it."""
    found: list[Chunk] = []
    left = MOST_ASKED
    for chunk in _chunks(fold(question)[:_LONGEST_ASKED]):
        if len(chunk.words) > left:
            return [*found, Chunk(chunk.words[:left], ())] if left else found
        found.append(chunk)
        left -= len(chunk.words)
    return found


def _chunk(part: str) -> Chunk:
    words = tuple(_runs(part))
    readings = {"".join(words)}
    if any(map(str.isalpha, words)):
        readings |= {"".join(_runs(_spelled(part))), "".join(_runs(_spelled(part).translate(_DIGITS)))}
    return Chunk(words, tuple(sorted(readings - ({words[0]} if len(words) == 1 else set()))))


def _runs(part: str) -> Iterator[str]:
    """Letters with their signs, and digits, apart from each other."""
    for kind, run in groupby(part, _kind):
        if kind:
            yield "".join(run)


def _kind(character: str) -> str:
    category = unicodedata.category(character)[0]
    return "L" if category in "LM" else "N" if category == "N" else ""


def _spelled(part: str) -> str:
    """With letters for the symbols that stand for one: before a letter, or `$` after one."""
    after = part[1:] + " "
    before = " " + part[:-1]
    return "".join(
        _SYMBOLS[each] if each in _SYMBOLS and (_kind(next_) == "L" or (each == "$" and _stands_in(previous))) else each
        for previous, each, next_ in zip(before, part, after, strict=True)
    )


def _stands_in(character: str) -> bool:
    return character == "$" or _kind(character) == "L"


def words(text: str) -> list[str]:
    """All words of a text, in order."""
    return [word for chunk in chunks(text) for word in chunk.words]


def joined_words(text: str) -> list[str]:
    """Every reading of a text's words as one: of each chunk, and of up to three words that follow each other."""
    found = chunks(text)
    each = [word for chunk in found for word in chunk.words]
    windows = ("".join(window) for size in range(2, _MOST_JOINED + 1) for window in _windows(each, size))
    return list(dict.fromkeys([*(joined for chunk in found for joined in chunk.joined), *windows]))


def _windows(each: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (each[start : start + size] for start in range(len(each) - size + 1))


def neighbours_joined(found: Sequence[Chunk]) -> list[str]:
    """For each pair of chunks that follow each other, both as one word."""
    return ["".join(one.words + other.words) for one, other in pairwise(found)]


def key(name: str) -> str:
    """The same for all spellings of a name: what a city or a category is compared by."""
    return _key(name, None)


def asked_key(name: str) -> str:
    """`key`, as far as a search reads it."""
    return _key(name, _LONGEST_KEY)


def _key(name: str, longest: int | None) -> str:
    letters = (each for each in fold(name) if _kind(each))
    return "".join(islice(letters, longest)) or whole(name)


def whole(name: str) -> str:
    """A name as it is compared where it has no letters or digits at all, as `!!!`."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFKC", name)).strip().casefold()


def plain_key(name: str) -> str:
    """`key`, with `u` for `ue` and the like: the same for `Köln` and `Koeln`.

    `ue` behind a vowel or a `q` stands for no `ü`: `Neuenkirchen` is not `Neunkirchen`.
    """
    return _plain(key(name))


def _plain(found: str) -> str:
    return _WRITTEN_UMLAUTS.sub(r"\1\2\3", found)


def asked_keys(name: str) -> set[str]:
    """What a question may mean by a name: its key, also with `u` for `ue` and the like."""
    asked = asked_key(name)
    return {asked, _plain(asked)}


def keys(name: str) -> set[str]:
    """`key`, also with `ue` for `ü` and the like."""
    composed = unicodedata.normalize("NFC", name).casefold()
    return {key(name), key(composed.translate(_SEPARATE_UMLAUTS))}
