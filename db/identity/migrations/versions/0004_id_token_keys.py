"""RSA keys for id tokens, and the algorithm that each client is registered for.

The keys have a table of their own, so that the version before, which knows Ed25519 alone, goes on reading its keys.
Clients from before, and those that the version before registers, keep EdDSA, which they expect.
"""

from alembic import op

revision = "0004"
down_revision = "0003"

KEYS = """
CREATE TABLE id_token_keys (
    kid text PRIMARY KEY,
    public jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signs_from timestamptz NOT NULL UNIQUE,
    revoked_at timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON id_token_keys TO seatwright_identity;

ALTER TABLE clients ADD COLUMN id_token_signed_response_alg text NOT NULL DEFAULT 'EdDSA'
    CHECK (id_token_signed_response_alg IN ('EdDSA', 'RS256'));
"""


def upgrade() -> None:
    op.execute(KEYS)
