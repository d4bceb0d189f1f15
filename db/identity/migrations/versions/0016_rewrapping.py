"""A person's key may be wrapped anew when the master key is replaced."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("GRANT UPDATE (wrapped) ON user_keys TO seatwright_identity")
