"""Inbox, events, sales and refunds. This service publishes no domain events, so it has no outbox."""

from alembic import op

revision = "0001"
down_revision = None

DDL = """
CREATE TABLE inbox (
    consumer text NOT NULL,
    domain_event_id uuid NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, domain_event_id)
);

CREATE TABLE events (
    id uuid PRIMARY KEY,
    version integer NOT NULL DEFAULT 0,
    organizer_id uuid,
    name text,
    starts_at timestamptz,
    cancelled boolean NOT NULL DEFAULT false
);

-- No table refers to events: sales and events arrive through different topics, in any order.
CREATE TABLE sales (
    event_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    bookings bigint NOT NULL CHECK (bookings >= 0),
    tickets bigint NOT NULL CHECK (tickets >= 0),
    revenue bigint NOT NULL CHECK (revenue >= 0),
    PRIMARY KEY (event_id, currency)
);

CREATE TABLE daily_sales (
    event_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    day date NOT NULL,
    bookings bigint NOT NULL CHECK (bookings >= 0),
    tickets bigint NOT NULL CHECK (tickets >= 0),
    revenue bigint NOT NULL CHECK (revenue >= 0),
    PRIMARY KEY (event_id, currency, day)
);

-- By the day of the refund, in a table of its own, so that a refund does not change the sales of a past day.
CREATE TABLE daily_refunds (
    event_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    day date NOT NULL,
    refunds bigint NOT NULL CHECK (refunds >= 0),
    tickets bigint NOT NULL CHECK (tickets >= 0),
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (event_id, currency, day)
);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT USAGE ON SCHEMA public TO seatwright_analytics")
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO seatwright_analytics")
    op.execute("REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM seatwright_analytics")
