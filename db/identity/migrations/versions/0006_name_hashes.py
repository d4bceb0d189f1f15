"""Support finds an account by its owner's name, of which only a keyed hash is stored beside the sealed profile."""

from alembic import op

revision = "0006"
down_revision = "0005"

# Accounts from before get theirs by `seatwright people hash-names`: only the person's key opens a name.
NAME_HASHES = """
ALTER TABLE users ADD COLUMN name_hash bytea CHECK (length(name_hash) = 32);
CREATE INDEX users_by_name ON users (name_hash);
"""


def upgrade() -> None:
    op.execute(NAME_HASHES)
