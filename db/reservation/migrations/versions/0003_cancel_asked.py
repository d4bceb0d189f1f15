"""A buyer's cancel reaches a payment under way through its row, too."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("ALTER TABLE bookings ADD COLUMN cancel_asked_at timestamptz")
