"""How many wrong codes were shown in a row, so that they cannot be guessed however many log-ins are begun."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("ALTER TABLE second_factors ADD wrong_codes integer NOT NULL DEFAULT 0")
