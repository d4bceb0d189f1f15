"""Whether an event's cancellation waits for an operator, because its refunds come to nothing."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE cancellations ADD COLUMN needs_attention boolean NOT NULL DEFAULT false")
