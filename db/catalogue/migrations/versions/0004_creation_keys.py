"""What idempotency keys have created, so that a repeated `POST /v1/events` finds its draft."""

from alembic import op

from db.creation_keys import CREATION_KEYS_DDL

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute(CREATION_KEYS_DDL)
    op.execute("GRANT SELECT, INSERT ON creation_keys TO seatwright_catalogue")
