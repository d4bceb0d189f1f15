"""The provider's page of an attempt, which some providers tell only once."""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = "ALTER TABLE attempts ADD COLUMN action_url text;"


def upgrade() -> None:
    op.execute(DDL)
