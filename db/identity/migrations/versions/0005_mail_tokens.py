"""Tokens that prove, by being sent in a mail, that a person reads their address."""

from alembic import op

revision = "0005"
down_revision = "0004"

DDL = """
CREATE TABLE mail_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    purpose text NOT NULL CHECK (purpose IN ('verification', 'password_reset')),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_by_user ON mail_tokens (user_id, purpose);
GRANT SELECT, INSERT, DELETE ON mail_tokens TO seatwright_identity;
"""


def upgrade() -> None:
    op.execute(DDL)
