"""The DDL that services share: log of domain events, outbox, the application's rights."""

from __future__ import annotations

from alembic import op

OUTBOX_DDL = """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

CREATE TABLE domain_events (
    aggregate_id uuid NOT NULL,
    sequence integer NOT NULL CHECK (sequence > 0),
    id uuid NOT NULL DEFAULT uuidv7() UNIQUE,
    type text NOT NULL,
    data jsonb NOT NULL,
    occurred_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (aggregate_id, sequence)
);
CREATE TRIGGER domain_events_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON domain_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    domain_event_id uuid NOT NULL,
    aggregate_id uuid NOT NULL,
    sequence integer NOT NULL,
    topic text NOT NULL,
    type text NOT NULL,
    data jsonb NOT NULL,
    traceparent text,
    occurred_at timestamptz NOT NULL,
    bucket smallint NOT NULL GENERATED ALWAYS AS (uuid_hash(aggregate_id) & 15) STORED
);
CREATE INDEX outbox_in_order ON outbox (bucket, id);
CREATE FUNCTION wake_relay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NOTIFY outbox;
    RETURN NULL;
END $$;
CREATE TRIGGER outbox_wakes_relay AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION wake_relay();
"""


def grant_to_application(service: str) -> None:
    """Let the application's role read and write the service's tables, but only append domain events."""
    role = f"seatwright_{service}"
    op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    op.execute(f"GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {role}")
    op.execute(f"REVOKE UPDATE, DELETE, TRUNCATE ON domain_events FROM {role}")
    op.execute(f"REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM {role}")
