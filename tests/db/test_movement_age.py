"""Lines of providers' reports from before their age was stored are as old as the movements that they list."""

from __future__ import annotations

import psycopg
from alembic import command
from alembic.config import Config
from sqlalchemy import make_url

from db.databases import migrate
from db.payment import tables
from tests.workers.conftest import _Databases

_LINE = """
INSERT INTO provider_movements (provider, reference, kind, day, amount, currency, happened_at)
VALUES ('stripe', %s, 'captured', current_date, 5000, 'EUR', now() - CAST(%s AS interval))
"""


def test_a_line_from_before_the_migration_is_kept_since_it_happened(databases: _Databases) -> None:
    url = databases.make()
    config = Config()
    config.set_main_option("script_location", "db/payment/migrations")
    config.attributes |= {"url": url, "metadata": tables.Base.metadata}
    command.upgrade(config, "0002")
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        for days in (1, 40):
            connection.execute(_LINE, [f"old-{days}", f"{days} days"])
        migrate("payment", url)
        connection.execute(_LINE, ["new", "40 days"])  # as a version that still runs does
        ages = "SELECT reference, extract(day FROM now() - kept_at)::int FROM provider_movements"
        assert dict(connection.execute(ages).fetchall()) == {"old-1": 1, "old-40": 40, "new": 0}
