"""A refund that the provider takes back is made again, so that its booking is `refunding` once more."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("INSERT INTO booking_edges VALUES ('refunded', 'refunding')")
