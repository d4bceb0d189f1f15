"""Every try to give money back for tickets that were given back."""

from alembic import op

revision = "0005"
down_revision = "0004"

DDL = """
CREATE TABLE refunds (
    refund_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    booking_id uuid NOT NULL,
    attempt integer NOT NULL,
    amount integer NOT NULL CHECK (amount > 0),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'pending', 'succeeded', 'failed')),
    code text,
    keys_minted integer NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (refund_id, number),
    FOREIGN KEY (booking_id, attempt) REFERENCES attempts,
    CHECK ((state IN ('succeeded', 'failed')) = (settled_at IS NOT NULL))
);
CREATE INDEX refunds_of_attempt ON refunds (booking_id, attempt);
-- A try may begin only when the one before it has failed for certain.
CREATE UNIQUE INDEX one_living_try_per_refund ON refunds (refund_id) WHERE state <> 'failed';
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON refunds TO seatwright_payment")
