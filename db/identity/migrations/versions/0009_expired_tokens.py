"""Finds expired refresh tokens: a session that goes on does not keep them, and one that is not used ends."""

from alembic import op

revision = "0009"
down_revision = "0008"

# `db/identity/pruning.py` finds by these what has expired.
PRUNING = """
CREATE INDEX refresh_tokens_by_expiry ON refresh_tokens (expires_at);
CREATE INDEX family_tokens_by_expiry ON family_tokens (expires_at);
"""


def upgrade() -> None:
    op.execute(PRUNING)
