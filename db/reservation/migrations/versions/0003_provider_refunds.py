"""Refunds that the provider made without our request; and what goes back is never more than what is left."""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = """
ALTER TABLE refunds DROP CONSTRAINT refunds_cause_check;
ALTER TABLE refunds ADD CONSTRAINT refunds_cause_check
    CHECK (cause IN ('buyer', 'staff', 'event_cancelled', 'exchange', 'provider'));
ALTER TABLE exchanges DROP CONSTRAINT the_difference_is_shared_out;
ALTER TABLE exchanges ADD CONSTRAINT the_difference_is_shared_out
    CHECK (returns + fee <= greatest(-difference, 0));
"""


def upgrade() -> None:
    op.execute(DDL)
