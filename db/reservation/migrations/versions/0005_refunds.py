"""Refunds, and cancelled events' bookings."""

from alembic import op

revision = "0005"
down_revision = "0004"

DDL = """
ALTER TABLE events
    ADD COLUMN refund_until_hours integer DEFAULT 0 CHECK (refund_until_hours >= 0),
    ADD COLUMN refund_fee_percent integer NOT NULL DEFAULT 0 CHECK (refund_fee_percent BETWEEN 0 AND 100),
    ADD COLUMN refund_fee_fixed integer NOT NULL DEFAULT 0 CHECK (refund_fee_fixed >= 0);

ALTER TABLE bookings
    ADD COLUMN refunded integer NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount);
CREATE INDEX bookings_of_event ON bookings (event_id, id);
DROP INDEX bookings_by_event;

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    requested_by uuid NOT NULL,
    cause text NOT NULL CHECK (cause IN ('buyer', 'staff', 'event_cancelled')),
    reason text NOT NULL,
    body_sha256 text NOT NULL,
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'needs_attention', 'succeeded')),
    amount integer NOT NULL CHECK (amount >= 0),
    fee integer NOT NULL CHECK (fee >= 0),
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    CHECK ((state = 'succeeded') = (settled_at IS NOT NULL))
);
CREATE INDEX refunds_of_booking ON refunds (booking_id, created_at);
CREATE UNIQUE INDEX one_refund_at_a_time ON refunds (booking_id) WHERE state <> 'succeeded';
CREATE INDEX refunds_unfinished ON refunds (created_at) WHERE state <> 'succeeded';

ALTER TABLE tickets ADD COLUMN refund_id uuid REFERENCES refunds;
CREATE INDEX tickets_refunded ON tickets (refund_id) WHERE refund_id IS NOT NULL;

CREATE TABLE cancellations (
    event_id uuid PRIMARY KEY REFERENCES events,
    requested_by uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    paused boolean NOT NULL DEFAULT false,
    finished_at timestamptz,
    report jsonb,
    CHECK ((finished_at IS NULL) = (report IS NULL))
);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON refunds, cancellations TO seatwright_reservation")
