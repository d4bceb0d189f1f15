"""For modules whose tests look at their own events only: one reservation database for all of them."""

from __future__ import annotations

import pytest

from tests.workers.conftest import ServiceDatabase


@pytest.fixture(scope="module")
def reservation_url(shared_database: ServiceDatabase) -> str:
    """In place of that of tests/db/conftest.py, which each test has for itself."""
    return shared_database("reservation")
