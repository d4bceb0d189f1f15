"""Which intent a line of a provider's list is about, where it names one."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE provider_movements ADD COLUMN intent_id text")
