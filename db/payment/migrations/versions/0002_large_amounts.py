"""Amounts of more than 2,147,483,647 minor units, as prices in IDR or LBP may be."""

from alembic import op

revision = "0002"
down_revision = "0001"

DDL = """
ALTER TABLE attempts ALTER COLUMN amount TYPE bigint;
ALTER TABLE refunds ALTER COLUMN amount TYPE bigint;
"""


def upgrade() -> None:
    op.execute(DDL)
