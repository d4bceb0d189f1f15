"""What people have allowed applications, and log-ins on the OAuth server's page that wait for a decision."""

from alembic import op

revision = "0005"
down_revision = "0004"

# A code is made some minutes after the log-in, if the person reads the page first: `auth_time` is the log-in's.
CONSENTS = """
CREATE TABLE consents (
    user_id uuid NOT NULL REFERENCES users,
    client_id uuid NOT NULL REFERENCES clients,
    scopes text[] NOT NULL,
    given_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, client_id)
);

CREATE TABLE pending_consents (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    user_id uuid NOT NULL REFERENCES users,
    client_id uuid NOT NULL REFERENCES clients,
    logged_in_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX pending_consents_by_user ON pending_consents (user_id);

GRANT SELECT, INSERT, UPDATE, DELETE ON consents, pending_consents TO seatwright_identity;

ALTER TABLE authorization_codes ADD COLUMN logged_in_at timestamptz NOT NULL DEFAULT now();
"""


def upgrade() -> None:
    op.execute(CONSENTS)
