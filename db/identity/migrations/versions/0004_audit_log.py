"""The audit log, which the application may read and append to, and nobody may change."""

from alembic import op

revision = "0004"
down_revision = "0003"

DDL = """
CREATE TABLE audit_log (
    number bigint PRIMARY KEY CHECK (number > 0),
    at timestamptz NOT NULL,
    actor text NOT NULL,
    roles text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    origin bytea,
    request_id text,
    previous bytea NOT NULL UNIQUE CHECK (length(previous) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX audit_log_by_object ON audit_log (object, number);
CREATE INDEX audit_log_by_actor ON audit_log (actor, number);
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON audit_log TO seatwright_identity;
"""


def upgrade() -> None:
    op.execute(DDL)
