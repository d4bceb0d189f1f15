"""Inventory, bookings with their legal edges, tickets, refunds, exchanges, event cancellations, and outbox."""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

DDL = """
CREATE TABLE events (
    id uuid PRIMARY KEY,
    organizer_id uuid NOT NULL,
    name text NOT NULL,
    starts_at timestamptz NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_seconds integer NOT NULL CHECK (hold_seconds > 0),
    status text NOT NULL CHECK (status IN ('on_sale', 'cancelled')),
    refund_until_hours integer DEFAULT 0 CHECK (refund_until_hours >= 0), -- null: no refunds
    refund_fee_percent integer NOT NULL DEFAULT 0 CHECK (refund_fee_percent BETWEEN 0 AND 100),
    refund_fee_fixed integer NOT NULL DEFAULT 0 CHECK (refund_fee_fixed >= 0),
    exchange_until_hours integer DEFAULT 0 CHECK (exchange_until_hours >= 0), -- null: no exchanges
    providers text[] CHECK (cardinality(providers) > 0) -- null: every provider that accepts the currency
);

CREATE TABLE sections (
    event_id uuid NOT NULL REFERENCES events,
    name text NOT NULL,
    position integer NOT NULL DEFAULT 0,
    kind text NOT NULL CHECK (kind IN ('seated', 'general')),
    price integer NOT NULL CHECK (price >= 0),
    rows integer,
    seats_per_row integer,
    capacity integer NOT NULL CHECK (capacity > 0),
    claimed integer NOT NULL DEFAULT 0 CHECK (claimed >= 0),
    PRIMARY KEY (event_id, name),
    CONSTRAINT never_more_than_capacity CHECK (claimed <= capacity),
    CHECK ((kind = 'seated') = (rows IS NOT NULL AND seats_per_row IS NOT NULL))
);

CREATE TABLE booking_edges (
    from_status text NOT NULL,
    to_status text NOT NULL,
    PRIMARY KEY (from_status, to_status)
);
INSERT INTO booking_edges VALUES
    ('held', 'paying'), ('held', 'cancelled'), ('held', 'expired'), ('held', 'failed'), ('held', 'needs_attention'),
    ('paying', 'held'), ('paying', 'action_required'), ('paying', 'confirmed'), ('paying', 'cancelled'),
    ('paying', 'expired'), ('paying', 'failed'), ('paying', 'needs_attention'),
    ('action_required', 'paying'), ('action_required', 'held'), ('action_required', 'cancelled'),
    ('action_required', 'expired'), ('action_required', 'failed'), ('action_required', 'needs_attention'),
    ('needs_attention', 'held'), ('needs_attention', 'confirmed'), ('needs_attention', 'cancelled'),
    ('needs_attention', 'expired'), ('needs_attention', 'failed'), ('needs_attention', 'refunded'),
    ('confirmed', 'refunding'), ('confirmed', 'needs_attention'),
    ('refunding', 'confirmed'), ('refunding', 'partially_refunded'), ('refunding', 'refunded'),
    ('refunding', 'needs_attention'),
    ('partially_refunded', 'refunding'), ('partially_refunded', 'needs_attention'),
    ('refunded', 'refunding'), -- the provider reports that the refund failed after all
    ('expired', 'paying'); -- the payment arrives late, and the places are still free

CREATE TABLE bookings (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    event_id uuid NOT NULL REFERENCES events,
    status text NOT NULL,
    seats text[] NOT NULL,
    quantities jsonb NOT NULL,
    amount integer NOT NULL CHECK (amount >= 0),
    refunded integer NOT NULL DEFAULT 0 CHECK (refunded BETWEEN 0 AND amount),
    currency text NOT NULL,
    body_sha256 text NOT NULL,
    accept_alternatives boolean NOT NULL DEFAULT false,
    version integer NOT NULL DEFAULT 1,
    expires_at timestamptz NOT NULL,
    cancel_asked_at timestamptz, -- a payment that is under way reads it before it charges
    tickets_forbidden boolean NOT NULL DEFAULT false, -- set before money goes back
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bookings_by_user ON bookings (user_id, created_at DESC, id DESC);
CREATE INDEX bookings_of_event ON bookings (event_id, id);
CREATE INDEX bookings_unfinished ON bookings (expires_at)
    WHERE status IN ('held', 'paying', 'action_required', 'needs_attention', 'refunding');

CREATE FUNCTION check_booking_edge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM booking_edges WHERE from_status = OLD.status AND to_status = NEW.status) THEN
        RAISE EXCEPTION 'a booking cannot go from % to %', OLD.status, NEW.status USING ERRCODE = 'check_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER bookings_change_along_legal_edges BEFORE UPDATE OF status ON bookings
    FOR EACH ROW WHEN (OLD.status <> NEW.status) EXECUTE FUNCTION check_booking_edge();
CREATE FUNCTION check_booking_start() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a booking starts as held, not as %', NEW.status USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER bookings_start_held BEFORE INSERT ON bookings
    FOR EACH ROW WHEN (NEW.status <> 'held') EXECUTE FUNCTION check_booking_start();

-- One row a seat, so that a seat has at most one owner by construction. `version` grows with every change of hands.
CREATE TABLE seats (
    event_id uuid NOT NULL,
    name text NOT NULL,
    section text NOT NULL,
    status text NOT NULL DEFAULT 'available' CHECK (status IN ('available', 'claimed', 'sold')),
    booking_id uuid REFERENCES bookings,
    version integer NOT NULL DEFAULT 0,
    PRIMARY KEY (event_id, name),
    FOREIGN KEY (event_id, section) REFERENCES sections,
    CHECK ((status = 'available') = (booking_id IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX seats_taken ON seats (event_id) WHERE status <> 'available';
CREATE INDEX seats_by_booking ON seats (booking_id) WHERE booking_id IS NOT NULL;

CREATE TABLE general_claims (
    booking_id uuid NOT NULL REFERENCES bookings,
    event_id uuid NOT NULL,
    section text NOT NULL,
    quantity integer NOT NULL CHECK (quantity > 0),
    status text NOT NULL CHECK (status IN ('claimed', 'sold')),
    PRIMARY KEY (booking_id, section),
    FOREIGN KEY (event_id, section) REFERENCES sections
);
CREATE INDEX general_claims_by_event ON general_claims (event_id, section);

CREATE TABLE refunds (
    id uuid PRIMARY KEY,
    booking_id uuid NOT NULL REFERENCES bookings,
    requested_by uuid NOT NULL,
    cause text NOT NULL CHECK (cause IN ('buyer', 'staff', 'event_cancelled', 'exchange')),
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

CREATE TABLE tickets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    booking_id uuid NOT NULL REFERENCES bookings,
    event_id uuid NOT NULL,
    section text NOT NULL,
    seat text,
    ordinal integer NOT NULL,
    status text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'void')),
    refund_id uuid REFERENCES refunds,
    issued_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (booking_id, ordinal)
);
CREATE UNIQUE INDEX one_live_ticket_per_seat ON tickets (event_id, seat) WHERE status = 'valid' AND seat IS NOT NULL;
CREATE INDEX tickets_refunded ON tickets (refund_id) WHERE refund_id IS NOT NULL;

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

-- Of an event. From `finished_at` on only operators can do more; at `over_at` nothing is left to do.
CREATE TABLE cancellations (
    event_id uuid PRIMARY KEY REFERENCES events,
    requested_by uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    paused boolean NOT NULL DEFAULT false,
    finished_at timestamptz,
    report jsonb,
    over_at timestamptz,
    CHECK ((finished_at IS NULL) = (report IS NULL))
);
CREATE INDEX cancellations_under_way ON cancellations (started_at) WHERE over_at IS NULL;

-- Bookings whose end is not yet in Redis.
CREATE TABLE pending_redis_updates (booking_id uuid PRIMARY KEY REFERENCES bookings);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute(OUTBOX_DDL)
    grant_to_application("reservation")
    op.execute("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON booking_edges FROM seatwright_reservation")
