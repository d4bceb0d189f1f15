"""A second factor (TOTP), the codes for the day when it is lost, and log-ins that wait for one of them."""

from alembic import op

revision = "0006"
down_revision = "0005"

DDL = """
CREATE TABLE second_factors (
    user_id uuid PRIMARY KEY REFERENCES users,
    secret bytea NOT NULL,
    confirmed_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0
);
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE log_in_challenges (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    tries smallint NOT NULL DEFAULT 0
);
CREATE INDEX log_in_challenges_by_user ON log_in_challenges (user_id);
GRANT SELECT, INSERT, UPDATE, DELETE ON second_factors, recovery_codes, log_in_challenges TO seatwright_identity;
"""


def upgrade() -> None:
    op.execute(DDL)
