"""Whether a capture is a repetition is known by the row: a local activity's own count dies with its worker."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE attempts ADD COLUMN captures_asked integer NOT NULL DEFAULT 0")
