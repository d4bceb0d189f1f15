"""Deletes the keys of deleted teams, because a team's name could be guessed by the digest that each of them keeps."""

from alembic import op

revision = "0008"
down_revision = "0007"

KEYS = """
CREATE INDEX creation_keys_by_created ON creation_keys (created_id);
DELETE FROM creation_keys WHERE NOT EXISTS (SELECT FROM teams WHERE id = created_id);
GRANT DELETE ON creation_keys TO seatwright_identity;
"""


def upgrade() -> None:
    op.execute(KEYS)
