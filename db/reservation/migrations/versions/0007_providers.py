"""By which payment providers an event may be paid; null: by any that takes its currency."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN providers text[] CHECK (cardinality(providers) > 0)")
