"""Since when a line of a provider's report is kept, so that it can go once its day is compared."""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = """
ALTER TABLE provider_movements ADD COLUMN kept_at timestamptz;
-- Not the time of the migration: then it would seem that no day has been compared since.
UPDATE provider_movements SET kept_at = happened_at;
ALTER TABLE provider_movements ALTER COLUMN kept_at SET DEFAULT now(), ALTER COLUMN kept_at SET NOT NULL;
CREATE INDEX provider_movements_by_age ON provider_movements (provider, kept_at);
"""


def upgrade() -> None:
    op.execute(DDL)
