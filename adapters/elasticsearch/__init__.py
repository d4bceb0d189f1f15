"""The search index: one document for each event, always in its newest version, and the searches in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple
from uuid import UUID

import structlog
from elasticsearch import ApiError, AsyncElasticsearch, BadRequestError, ConflictError, NotFoundError, TransportError

from adapters.elasticsearch import cursors, questions
from adapters.elasticsearch.documents import MAPPINGS, SETTINGS, SHOWN, document, hit, rebuilt
from domain.domain_events import EventPublished
from domain.problems import ProblemType, Refused
from domain.search import SearchPage, SearchQuery

ALIAS = "events"
_SUGGESTIONS = 10
_PAGE = 1000


class IndexedEvent(NamedTuple):
    """An event in the index."""

    event_id: str
    version: int
    status: str


class EventSearch:
    """Reads and writes the events that are on sale.

    Every method raises `Refused` as UNAVAILABLE if Elasticsearch does not answer.

    Attributes:
        index: The index behind the alias.
    """

    def __init__(self, url: str, alias: str = ALIAS) -> None:
        self._client = AsyncElasticsearch(url, request_timeout=1.8, max_retries=0)
        self._slow = self._client.options(request_timeout=20)
        self._earlier = alias  # as version 0.1.0 names it
        self._alias = f"{alias}-v4"  # another number where documents have to be made anew
        self.index = f"{self._alias}-1"

    async def close(self) -> None:
        """Close the connections to Elasticsearch."""
        await self._client.close()

    async def ensure_index(self) -> None:
        """Create the index behind its alias, unless it exists, and add what the index of the version before has.

        That index stays: processes of that version use it until they are replaced, and again if they come back.
        """
        async with _unavailable():
            await self._create()
            for earlier in await self._earlier_indices():
                with suppress(NotFoundError):  # deleted by now
                    await self._copy(earlier)

    async def _create(self) -> None:
        aliases: dict[str, Any] = {self._alias: {}}
        try:
            await self._slow.indices.create(index=self.index, settings=SETTINGS, mappings=MAPPINGS, aliases=aliases)
        except BadRequestError as error:
            if error.error != "resource_already_exists_exception":
                raise
        await self._slow.cluster.health(index=self.index, wait_for_status="yellow", timeout="15s")

    async def _earlier_indices(self) -> set[str]:
        try:
            return set((await self._slow.indices.get_alias(name=self._earlier)).body)
        except NotFoundError:
            return set()

    async def _copy(self, earlier: str) -> None:
        """Add all documents of an earlier index; versions keep the newer one of two."""
        await self._slow.indices.refresh(index=earlier)
        async for page in self._pages({"match_all": {}}, index=earlier):
            actions: list[dict[str, Any]] = []
            for each in page:
                about = {"_id": each["_id"], "version": each["_version"], "version_type": "external"}
                actions += [{"index": about}, rebuilt(each["_source"])]
            answer = await self._slow.bulk(index=self.index, operations=actions)
            failed = [each["index"] for each in answer["items"] if each["index"]["status"] not in (200, 201, 409)]
            if failed:
                raise Refused(ProblemType.UNAVAILABLE, f"Not copied to the search index: {failed[0]['error']}.")

    async def put(self, event: EventPublished) -> None:
        """Index an event, unless the index has this version or a newer one."""
        await self._write(event.event_id, event.version, document(event))

    async def mark_cancelled(self, event_id: UUID, version: int) -> None:
        """Hide an event from every result, unless the index has a newer version; the event may be missing."""
        known: dict[str, Any] = {}
        async with _unavailable():
            try:
                known = (await self._slow.get(index=self._alias, id=str(event_id)))["_source"]
            except NotFoundError as error:
                if error.info.get("found") is not False:
                    raise
        await self._write(event_id, version, known | {"event_id": str(event_id), "status": "cancelled"})

    async def search(self, query: SearchQuery) -> SearchPage:
        """Find one page of events.

        Raises:
            Refused: INVALID_REQUEST for a cursor that is not from this search, and for a question that is too much.
        """
        cursor = cursors.read(query)
        currency = cursor.currency if cursor else await self._currency(query)
        answer = await self._ask(query.model_copy(update={"currency": currency}), cursor)
        found = answer["hits"]["hits"]
        shown = found[: query.size]
        after = cursors.Cursor(currency, shown[-1]["sort"]) if len(found) > query.size else None
        return SearchPage(
            hits=tuple(hit(each, query) for each in shown),
            total=answer["hits"]["total"]["value"],
            facets={name: questions.values(answer["aggregations"][name]) for name in questions.FACETS},
            currency=currency,
            next_cursor=cursors.write(query, after) if after else None,
        )

    async def _ask(self, query: SearchQuery, cursor: cursors.Cursor | None) -> Any:
        chosen = questions.choices(query)
        async with _asking():
            try:
                return await self._client.search(
                    index=self._alias,
                    query={"bool": {"must": questions.matching(query), "filter": questions.filters(query)}},
                    post_filter={"bool": {"filter": list(chosen.values())}},
                    aggs=questions.facets(chosen),
                    sort=questions.order(query),
                    search_after=cursor.after if cursor else None,
                    size=query.size + 1,
                    source_includes=SHOWN,
                    track_total_hits=True,
                )
            except BadRequestError:
                if cursor:
                    raise cursors.bad_cursor() from None
                raise

    async def _currency(self, query: SearchQuery) -> str | None:
        """The currency in which a question compares prices: the chosen one, or that of the most events."""
        if query.currency or not query.compares_prices:
            return query.currency
        unpriced = query.model_copy(update={"price_min": None, "price_max": None})
        async with _asking():
            answer = await self._client.search(
                index=self._alias,
                query={"bool": {"must": questions.matching(unpriced), "filter": questions.filters(unpriced)}},
                aggs=questions.facets(questions.choices(unpriced)),
                size=0,
            )
        found = questions.values(answer["aggregations"]["currency"])
        return found[0].id if found else None

    async def suggest(self, q: str) -> list[str]:
        """Names of events on sale with words that begin with those of `q`, the next event first."""
        to_come = {"range": {"starts_at": {"gte": "now"}}}
        async with _asking():
            answer = await self._client.search(
                index=self._alias,
                query={"bool": {"must": questions.beginning(q), "filter": [*questions.ON_SALE, to_come]}},
                sort=["starts_at", "event_id"],
                source_includes=["name"],
                size=5 * _SUGGESTIONS,
            )
        names = dict.fromkeys(hit["_source"]["name"] for hit in answer["hits"]["hits"])
        return list(names)[:_SUGGESTIONS]

    async def documents(self, event_ids: Iterable[UUID] | None) -> AsyncIterator[IndexedEvent]:
        """The indexed documents of some events, or of all events."""
        chosen = {"match_all": {}} if event_ids is None else {"ids": {"values": [str(event) for event in event_ids]}}
        async for page in self._pages(chosen, index=self._alias, source_includes=["status"]):
            for found in page:
                yield IndexedEvent(found["_id"], found["_version"], found["_source"]["status"])

    async def _pages(self, query: dict[str, Any], *, index: str, **options: Any) -> AsyncIterator[list[Any]]:
        """All documents of an index, in pages."""
        after: Sequence[Any] | None = None
        while True:
            async with _unavailable():
                page = await self._slow.search(
                    index=index,
                    query=query,
                    sort=[{"event_id": "asc"}],
                    search_after=after,
                    size=_PAGE,
                    version=True,
                    **options,
                )
            found = page["hits"]["hits"]
            if found:
                yield found
                after = found[-1]["sort"]
            if len(found) < _PAGE:
                return

    async def _write(self, event_id: UUID, version: int, document: dict[str, Any]) -> None:
        # A conflict means that the index has this version or a newer one.
        async with _unavailable():
            with suppress(ConflictError):
                await self._slow.index(
                    index=self._alias,
                    id=str(event_id),
                    document=document,
                    version=version,
                    version_type="external",
                    require_alias=True,
                )


@asynccontextmanager
async def _unavailable() -> AsyncIterator[None]:
    try:
        yield
    except TransportError as error:
        raise Refused(ProblemType.UNAVAILABLE, "Search is not available right now.") from error
    except ApiError as error:
        if error.status_code in (404, 429) or error.status_code >= 500:
            raise Refused(ProblemType.UNAVAILABLE, "Search is not available right now.") from error
        raise


@asynccontextmanager
async def _asking() -> AsyncIterator[None]:
    """As `_unavailable`, for the questions of clients: one that Elasticsearch refuses is theirs."""
    try:
        async with _unavailable():
            yield
    except BadRequestError as error:
        structlog.get_logger().warning("question refused", error=error.error)
        raise Refused(
            ProblemType.INVALID_REQUEST,
            "query.q: the search cannot answer this question. Ask with fewer words.",
            errors=[{"field": "query.q", "message": "has too many words"}],
        ) from error
