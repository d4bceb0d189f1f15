"""Finds expired refresh tokens: a session that goes on does not keep them, and one that is not used ends."""

from alembic import op

revision = "0009"
down_revision = "0008"

# `db/identity/pruning.py` finds by these what has expired.
PRUNING = """
CREATE INDEX refresh_tokens_used ON refresh_tokens (expires_at) WHERE used_at IS NOT NULL;
CREATE INDEX refresh_tokens_unused ON refresh_tokens (expires_at) WHERE used_at IS NULL;
CREATE INDEX family_tokens_used ON family_tokens (expires_at) WHERE used_at IS NOT NULL;
CREATE INDEX family_tokens_unused ON family_tokens (expires_at) WHERE used_at IS NULL;
"""


def upgrade() -> None:
    op.execute(PRUNING)
