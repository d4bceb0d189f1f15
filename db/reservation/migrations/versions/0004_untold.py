"""Ends of bookings that Redis could not be told of."""

from alembic import op

from db.migration_helpers import grant_to_application

revision = "0004"
down_revision = "0003"

DDL = "CREATE TABLE untold (booking_id uuid PRIMARY KEY REFERENCES bookings);"


def upgrade() -> None:
    op.execute(DDL)
    grant_to_application("reservation")
    op.execute("REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON booking_edges FROM seatwright_reservation")
