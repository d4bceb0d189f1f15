"""Since when a line of a provider's report is kept, so that it can go once its day is compared."""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = """
ALTER TABLE provider_movements ADD COLUMN kept_at timestamptz NOT NULL DEFAULT now();
CREATE INDEX provider_movements_by_age ON provider_movements (provider, kept_at);
"""


def upgrade() -> None:
    op.execute(DDL)
