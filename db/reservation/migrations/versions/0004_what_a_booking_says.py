"""What a booking says of itself: its event's venue and zone, where its buyer has to act, why a payment failed."""

from alembic import op

revision = "0004"
down_revision = "0003"

DDL = """
ALTER TABLE events
    ADD COLUMN timezone text CHECK (timezone <> ''), -- null: copied before it was part of the copy
    ADD COLUMN venue_name text,
    ADD COLUMN venue_city text,
    ADD COLUMN venue_country text;

ALTER TABLE bookings
    ADD COLUMN action_url text, -- the page of the provider, while the status is action_required
    ADD COLUMN payment_problem jsonb; -- why the last payment came to nothing
"""


def upgrade() -> None:
    op.execute(DDL)
