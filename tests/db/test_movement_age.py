"""Lines of providers' reports from before their age was stored are as old as the movements that they list."""

from __future__ import annotations

import psycopg

from db.databases import migrate
from tests.db.old_databases import migrate_to, plain
from tests.workers.conftest import _Databases

_LINE = """
INSERT INTO provider_movements (provider, reference, kind, day, amount, currency, happened_at)
VALUES ('stripe', %s, 'captured', current_date, 5000, 'EUR', now() - CAST(%s AS interval))
"""


def test_a_line_from_before_the_migration_is_kept_since_it_happened(databases: _Databases) -> None:
    url = databases.make()
    migrate_to("0002", "payment", url)
    with psycopg.connect(plain(url), autocommit=True) as connection:
        for days in (1, 40):
            connection.execute(_LINE, [f"old-{days}", f"{days} days"])
        migrate("payment", url)
        connection.execute(_LINE, ["new", "40 days"])  # as a version that still runs does
        ages = "SELECT reference, extract(day FROM now() - kept_at)::int FROM provider_movements"
        assert dict(connection.execute(ages).fetchall()) == {"old-1": 1, "old-40": 40, "new": 0}
