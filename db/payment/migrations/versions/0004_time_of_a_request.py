"""When a refund's provider was last asked, so that the request is not repeated while it may still run."""

from alembic import op

revision = "0004"
down_revision = "0003"

DDL = "ALTER TABLE refunds ADD COLUMN asked_at timestamptz"


def upgrade() -> None:
    op.execute(DDL)
