"""What an organizer grants buyers who want another seat."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN exchange_until_hours integer DEFAULT 0 CHECK (exchange_until_hours >= 0)")
