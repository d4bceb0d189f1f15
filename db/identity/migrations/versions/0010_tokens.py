"""Signing keys, and what has ended before its time: who ends a session or takes a role away need not think of it."""

from alembic import op

revision = "0010"
down_revision = "0006"

DDL = """
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    public jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signs_from timestamptz NOT NULL UNIQUE,
    revoked_at timestamptz
);

CREATE TABLE revocations (
    subject uuid PRIMARY KEY,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocations_by_time ON revocations (revoked_at);

CREATE FUNCTION revoke(ended uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO revocations (subject) VALUES (ended)
    ON CONFLICT (subject) DO UPDATE SET revoked_at = clock_timestamp();
$$;

CREATE FUNCTION revoke_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM revoke(OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_end_with_their_session AFTER UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_session AFTER DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_role AFTER UPDATE ON users
    FOR EACH ROW WHEN (NOT NEW.roles @> OLD.roles) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_user AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON signing_keys, revocations TO seatwright_identity")
