"""A payment whose money is being given back cannot issue tickets any more."""

from alembic import op

revision = "0009"
down_revision = "0007"


def upgrade() -> None:
    op.execute("ALTER TABLE bookings ADD COLUMN tickets_forbidden boolean NOT NULL DEFAULT false")
