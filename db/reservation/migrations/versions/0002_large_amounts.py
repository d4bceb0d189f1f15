"""Amounts of more than 2,147,483,647 minor units, and the step of what an event's providers can refund."""

from alembic import op

revision = "0002"
down_revision = "0001"

DDL = """
ALTER TABLE events ALTER COLUMN refund_fee_fixed TYPE bigint;
ALTER TABLE sections ALTER COLUMN price TYPE bigint;
ALTER TABLE bookings ALTER COLUMN amount TYPE bigint, ALTER COLUMN refunded TYPE bigint;
ALTER TABLE refunds ALTER COLUMN amount TYPE bigint, ALTER COLUMN fee TYPE bigint;
ALTER TABLE exchanges ALTER COLUMN difference TYPE bigint;
ALTER TABLE events ADD COLUMN amount_step integer NOT NULL DEFAULT 1 CHECK (amount_step > 0);
-- Events that are on sale: the steps of Stripe, the only provider of these currencies so far.
UPDATE events SET amount_step = 100 WHERE currency = 'MGA';
UPDATE events SET amount_step = 10 WHERE currency IN ('BHD', 'JOD', 'KWD', 'OMR', 'TND');
"""


def upgrade() -> None:
    op.execute(DDL)
