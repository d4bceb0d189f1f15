"""An exchange for a dearer seat is paid by an intent of its own; a refund may take from several intents."""

from alembic import op

revision = "0010"
down_revision = "0008"

DDL = """
ALTER TABLE attempts ADD COLUMN exchange_id uuid;
DROP INDEX one_live_attempt_per_booking;
CREATE UNIQUE INDEX one_live_attempt_per_booking_or_exchange ON attempts (booking_id, exchange_id)
    NULLS NOT DISTINCT WHERE closed_at IS NULL;

DROP INDEX one_living_try_per_refund;
-- A try may begin only when the one before it, at the same intent, has failed for certain.
CREATE UNIQUE INDEX one_living_try_per_refund_and_attempt ON refunds (refund_id, attempt) WHERE state <> 'failed';
"""


def upgrade() -> None:
    op.execute(DDL)
