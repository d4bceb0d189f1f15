"""A question has a bounded number of clauses, whatever its characters stand for."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from elasticsearch import BadRequestError

from adapters.elasticsearch import EventSearch, questions
from domain.problems import ProblemType, Refused
from domain.search import SearchQuery
from domain.search_words import fold

LONGEST = 200
"""Characters of a question that the API takes."""

MOST = 1024
"""Clauses that search engines take by default."""


def leaves(clause: Any) -> int:
    """How many terms a clause looks up."""
    if isinstance(clause, list):
        return sum(map(leaves, clause))
    if not isinstance(clause, dict):
        return 0
    (kind, inside), *others = clause.items()
    if kind in ("match", "match_phrase"):
        (asked,) = inside.values()
        return len((asked if isinstance(asked, str) else asked["query"]).split())
    return 1 if kind == "term" else sum(leaves(each) for _, each in [(kind, inside), *others])


def expanding() -> Iterator[str]:
    """A character of each kind that stands for others: for letters, digits, spaces and signs in the same order."""
    seen: set[str] = set()
    for each in map(chr, range(sys.maxunicode + 1)):
        if unicodedata.decomposition(each) and len(folded := fold(each)) > 1:
            kinds = "".join(unicodedata.category(part)[0] for part in folded)
            if kinds not in seen:
                seen.add(kinds)
                yield each


def test_a_question_has_a_bounded_number_of_clauses() -> None:
    asked = [*expanding(), "\ufdfa", "a", "a1", "a-", "a b ", "$a", "ab-"]
    assert len(asked) > 20
    for each in asked:
        for q in (each * LONGEST, f"{each} " * LONGEST, f"{each}-" * LONGEST):
            for clause in (questions.matching(SearchQuery(q=q[:LONGEST])), questions.beginning(q[:LONGEST])):
                assert leaves(clause) <= MOST, (ascii(each), leaves(clause))


def test_a_question_costs_little_whatever_its_characters_stand_for() -> None:
    for each in ("\ufdfa", "\u33c2", "\u2474", "\u0390", "!"):
        query = SearchQuery(q=each * LONGEST, category=each * (LONGEST // 2), city=each * (LONGEST // 2))
        assert min(cost(query) for _ in range(5)) < 0.01, ascii(each)


def cost(query: SearchQuery) -> float:
    """Seconds of this thread's CPU that it takes to ask Elasticsearch."""
    began = time.thread_time()
    questions.matching(query)
    questions.facets(questions.choices(query))
    return time.thread_time() - began


@pytest.mark.parametrize("ask", ["search", "compare prices", "suggest"])
async def test_a_question_that_the_engine_refuses_is_a_422(monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    async def refuses(*_: Any, **__: Any) -> None:
        about: Any = SimpleNamespace(status=400)
        raise BadRequestError("too_many_clauses", about, {})

    search = EventSearch("http://127.0.0.1:1")
    monkeypatch.setattr(search._client, "search", refuses)
    query = SearchQuery(q="a", price_min=1 if ask == "compare prices" else None)
    with pytest.raises(Refused) as refused:
        await (search.suggest("a") if ask == "suggest" else search.search(query))
    await search.close()
    assert refused.value.problem.type is ProblemType.INVALID_REQUEST
