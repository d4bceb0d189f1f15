"""Events with their sections, domain events and outbox."""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

DDL = """
CREATE TABLE events (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    organizer_id uuid NOT NULL,
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'published', 'cancelled')),
    version integer NOT NULL DEFAULT 1 CHECK (version > 0),
    name text NOT NULL,
    category text NOT NULL,
    venue_name text NOT NULL,
    venue_city text NOT NULL,
    venue_country text NOT NULL,
    venue_latitude double precision NOT NULL CHECK (venue_latitude BETWEEN -90 AND 90),
    venue_longitude double precision NOT NULL CHECK (venue_longitude BETWEEN -180 AND 180),
    starts_at timestamptz NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    hold_seconds integer NOT NULL CHECK (hold_seconds > 0),
    refund_until_hours integer DEFAULT 0 CHECK (refund_until_hours >= 0), -- null: no refunds
    refund_fee_percent integer NOT NULL DEFAULT 0 CHECK (refund_fee_percent BETWEEN 0 AND 100),
    refund_fee_fixed integer NOT NULL DEFAULT 0 CHECK (refund_fee_fixed >= 0),
    exchange_until_hours integer DEFAULT 0 CHECK (exchange_until_hours >= 0), -- null: no exchanges
    providers text[] CHECK (cardinality(providers) > 0), -- null: every provider that accepts the currency
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    CHECK (status <> 'draft' OR published_at IS NULL),
    CHECK (status <> 'published' OR published_at IS NOT NULL)
);
CREATE INDEX events_by_organizer ON events (organizer_id, id DESC);

CREATE TABLE sections (
    event_id uuid NOT NULL REFERENCES events,
    name text NOT NULL,
    position integer NOT NULL,
    kind text NOT NULL CHECK (kind IN ('seated', 'general')),
    price integer NOT NULL CHECK (price >= 0),
    capacity integer NOT NULL CHECK (capacity > 0),
    rows integer,
    seats_per_row integer,
    PRIMARY KEY (event_id, name),
    CHECK ((kind = 'seated') = (rows IS NOT NULL AND seats_per_row IS NOT NULL)),
    CHECK (kind = 'general' OR capacity = rows * seats_per_row)
);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute(OUTBOX_DDL)
    grant_to_application("catalogue")
