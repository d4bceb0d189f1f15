"""A Temporal server whose clock jumps to the next timer when nothing else is left to do."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.converter import DataConverter
from temporalio.testing import WorkflowEnvironment

from temporal import search_attributes


@asynccontextmanager
async def time_skipping(converter: DataConverter) -> AsyncIterator[WorkflowEnvironment]:
    """Run such a server, which knows the search attributes of the sagas."""
    server = Path(sys.executable).parent / "temporal-test-server"
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=str(server), data_converter=converter
    ) as environment:
        await environment.client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                search_attributes={
                    key.name: IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
                    for key in (search_attributes.STATUS, search_attributes.EVENT, search_attributes.BOOKING)
                }
            )
        )
        yield environment
