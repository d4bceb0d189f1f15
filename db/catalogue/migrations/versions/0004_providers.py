"""By which payment providers an organizer lets an event be paid; null: by any that takes its currency."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("ALTER TABLE events ADD COLUMN providers text[] CHECK (cardinality(providers) > 0)")
