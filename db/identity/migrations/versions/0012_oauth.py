"""Applications of others: what they are registered for, codes, and families of refresh tokens."""

from alembic import op

revision = "0012"
down_revision = "0011"

DDL = """
CREATE TABLE clients (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL,
    secret_hash bytea CHECK (length(secret_hash) = 32),
    redirect_uris text[] NOT NULL,
    grants text[] NOT NULL CHECK (grants <@ ARRAY['authorization_code', 'refresh_token', 'client_credentials']),
    scopes text[] NOT NULL CHECK (NOT scopes @> ARRAY['seatwright']),
    roles text[] NOT NULL CHECK (roles <@ ARRAY['customer', 'organizer']),
    may_introspect boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK (secret_hash IS NOT NULL OR NOT (may_introspect OR grants @> ARRAY['client_credentials']))
);
CREATE TRIGGER tokens_end_with_their_client AFTER UPDATE ON clients
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();

CREATE TABLE refresh_families (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    client_id uuid NOT NULL REFERENCES clients,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX refresh_families_by_user ON refresh_families (user_id);
CREATE TRIGGER tokens_end_with_their_family AFTER UPDATE ON refresh_families
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_family AFTER DELETE ON refresh_families
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();

CREATE TABLE family_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    family uuid NOT NULL REFERENCES refresh_families ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX family_tokens_by_family ON family_tokens (family);

CREATE TABLE authorization_codes (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    client_id uuid NOT NULL REFERENCES clients,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    challenge text NOT NULL,
    nonce text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    family uuid REFERENCES refresh_families ON DELETE CASCADE
);
"""


def upgrade() -> None:
    op.execute(DDL)
    tables = "clients, refresh_families, family_tokens, authorization_codes"
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO seatwright_identity")
