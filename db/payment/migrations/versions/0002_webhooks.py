"""Providers' messages; attempts that are given up undecided, and those that a workflow still looks after."""

from alembic import op

revision = "0002"
down_revision = "0001"

DDL = """
CREATE TABLE webhooks (
    provider text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    intent_id text,
    booking_id uuid,
    course text NOT NULL CHECK (course IN ('ignored', 'saga', 'late')),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);
GRANT SELECT, INSERT ON webhooks TO seatwright_payment;

ALTER TABLE attempts
    DROP CONSTRAINT attempts_state_check,
    DROP CONSTRAINT attempts_check,
    ADD CONSTRAINT attempts_state_check CHECK (state IN
        ('open', 'action_required', 'authorized', 'captured', 'declined', 'voided', 'refunded', 'left')),
    ADD CONSTRAINT attempts_check CHECK
        ((closed_at IS NOT NULL) = (state IN ('declined', 'voided', 'refunded', 'left'))),
    ADD COLUMN watched boolean NOT NULL DEFAULT false;
CREATE INDEX attempts_watched ON attempts (booking_id) WHERE watched;
"""


def upgrade() -> None:
    op.execute(DDL)
