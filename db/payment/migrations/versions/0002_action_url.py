"""The provider's page of an attempt, which some providers tell only once."""

from alembic import op

revision = "0002_action_url"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN action_url text")
