"""A booking that has expired may come back when its money turns up late, on equal seats where its buyer agreed."""

from alembic import op

revision = "0002"
down_revision = "0001"

DDL = """
INSERT INTO booking_edges VALUES ('expired', 'paying');
ALTER TABLE bookings ADD COLUMN accept_alternatives boolean NOT NULL DEFAULT false;
"""


def upgrade() -> None:
    op.execute(DDL)
