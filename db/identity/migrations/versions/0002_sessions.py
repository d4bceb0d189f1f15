"""Sessions that their owner can recognize: when each was last used, and from which device (sealed, see `vault`)."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE sessions ADD last_used_at timestamptz NOT NULL DEFAULT now(), ADD device bytea")
