"""What is personal is sealed under a key of each person's own, and addresses are found by a keyed hash.

The database has no master key, so it cannot seal what it has: accounts of earlier stacks cannot be kept.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM users) THEN
        RAISE EXCEPTION 'accounts from before encryption cannot be kept: start from nothing (make clean)';
    END IF;
END $$;
DROP INDEX one_account_per_address;
ALTER TABLE users
    DROP email,
    DROP name,
    ALTER password_hash DROP NOT NULL,
    ADD address_hash bytea UNIQUE CHECK (length(address_hash) = 32),
    ADD profile bytea,
    ADD verified_at timestamptz,
    ADD erased_at timestamptz,
    ADD CONSTRAINT erased_means_nothing_is_left CHECK (
        CASE WHEN erased_at IS NULL
        THEN num_nulls(address_hash, profile, password_hash) = 0
        ELSE num_nonnulls(address_hash, profile, password_hash, verified_at) = 0 END
    );

CREATE TABLE user_keys (
    user_id uuid PRIMARY KEY REFERENCES users,
    wrapped bytea NOT NULL
);
GRANT SELECT, INSERT, DELETE ON user_keys TO seatwright_identity;
"""


def upgrade() -> None:
    op.execute(DDL)
