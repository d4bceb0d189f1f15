"""Exchanges of a ticket's seat for another of the same event."""

from alembic import op

revision = "0006"
down_revision = "0005"

DDL = """
ALTER TABLE events ADD COLUMN exchange_until_hours integer DEFAULT 0 CHECK (exchange_until_hours >= 0);

ALTER TABLE refunds
    DROP CONSTRAINT refunds_cause_check,
    ADD CONSTRAINT refunds_cause_check CHECK (cause IN ('buyer', 'staff', 'event_cancelled', 'exchange'));

CREATE TABLE exchanges (
    id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    requested_by uuid NOT NULL,
    ticket uuid NOT NULL REFERENCES tickets,
    old_seat text NOT NULL,
    seat text NOT NULL,
    new_ticket uuid REFERENCES tickets,
    difference integer NOT NULL,
    currency text NOT NULL,
    refund_id uuid REFERENCES refunds,
    body_sha256 text NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'action_required', 'committed', 'completed', 'failed')),
    needs_attention boolean NOT NULL DEFAULT false,
    action_url text,
    problem jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CHECK ((state IN ('completed', 'failed')) = (settled_at IS NOT NULL)),
    CHECK ((state = 'completed') = (new_ticket IS NOT NULL)),
    CHECK ((state = 'failed') = (problem IS NOT NULL))
);
CREATE INDEX exchanges_of_booking ON exchanges (booking_id, created_at);
CREATE UNIQUE INDEX one_exchange_at_a_time ON exchanges (booking_id)
    WHERE state IN ('pending', 'action_required', 'committed');
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON exchanges TO seatwright_reservation")
