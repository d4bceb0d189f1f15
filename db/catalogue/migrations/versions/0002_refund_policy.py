"""What an organizer grants buyers who change their mind."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE events
            ADD COLUMN refund_until_hours integer DEFAULT 0 CHECK (refund_until_hours >= 0),
            ADD COLUMN refund_fee_percent integer NOT NULL DEFAULT 0 CHECK (refund_fee_percent BETWEEN 0 AND 100),
            ADD COLUMN refund_fee_fixed integer NOT NULL DEFAULT 0 CHECK (refund_fee_fixed >= 0)
        """
    )
