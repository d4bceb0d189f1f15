"""Accounts, sessions with their refresh tokens, domain events and outbox."""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

DDL = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    email text NOT NULL,
    name text NOT NULL,
    password_hash text NOT NULL,
    roles text[] NOT NULL CHECK (roles <@ ARRAY['customer', 'organizer', 'support', 'operator']),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX one_account_per_address ON users (lower(email));

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    family uuid NOT NULL REFERENCES sessions,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute(OUTBOX_DDL)
    grant_to_application("identity")
