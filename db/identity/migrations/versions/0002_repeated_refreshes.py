"""Remembers which program used a refresh token, so that a refresh whose answer was lost can be repeated."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("ALTER TABLE refresh_tokens ADD COLUMN used_by bytea")
