"""A booking knows the command of its last payment, so that its key is answered when Temporal has forgotten it."""

from alembic import op

revision = "0007"
down_revision = "0006"

DDL = """
ALTER TABLE bookings
    ADD COLUMN payment_command text,     -- the id of the update; null: no payment, or one of an older version
    ADD COLUMN payment_body_sha256 text;
"""


def upgrade() -> None:
    op.execute(DDL)
