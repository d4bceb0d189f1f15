"""Inventory, bookings with their legal edges, tickets, domain events and outbox."""

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
    status text NOT NULL CHECK (status IN ('on_sale', 'cancelled'))
);

CREATE TABLE sections (
    event_id uuid NOT NULL REFERENCES events,
    name text NOT NULL,
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
    ('partially_refunded', 'refunding'), ('partially_refunded', 'needs_attention');

CREATE TABLE bookings (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL,
    event_id uuid NOT NULL REFERENCES events,
    status text NOT NULL,
    seats text[] NOT NULL,
    quantities jsonb NOT NULL,
    amount integer NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    body_sha256 text NOT NULL,
    version integer NOT NULL DEFAULT 1,
    expires_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX bookings_by_user ON bookings (user_id, created_at DESC, id DESC);
CREATE INDEX bookings_by_event ON bookings (event_id);
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

CREATE TABLE tickets (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    booking_id uuid NOT NULL REFERENCES bookings,
    event_id uuid NOT NULL,
    section text NOT NULL,
    seat text,
    ordinal integer NOT NULL,
    status text NOT NULL DEFAULT 'valid' CHECK (status IN ('valid', 'void')),
    issued_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (booking_id, ordinal)
);
CREATE UNIQUE INDEX one_live_ticket_per_seat ON tickets (event_id, seat) WHERE status = 'valid' AND seat IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute(OUTBOX_DDL)
    grant_to_application("reservation")
    op.execute("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON booking_edges FROM seatwright_reservation")
