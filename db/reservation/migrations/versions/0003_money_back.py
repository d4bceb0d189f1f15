"""What goes back for a cheaper seat and what of the difference is kept; refunds that the provider made by itself."""

from alembic import op

revision = "0003"
down_revision = "0002"

DDL = """
ALTER TABLE exchanges
    ADD COLUMN returns bigint NOT NULL DEFAULT 0 CHECK (returns >= 0),
    ADD COLUMN fee bigint NOT NULL DEFAULT 0 CHECK (fee >= 0);
-- Until now the whole difference went back.
UPDATE exchanges SET returns = greatest(-difference, 0);
ALTER TABLE exchanges
    ALTER COLUMN returns DROP DEFAULT,
    ALTER COLUMN fee DROP DEFAULT,
    ADD CONSTRAINT no_more_than_the_difference CHECK (returns + fee <= greatest(-difference, 0));

ALTER TABLE refunds DROP CONSTRAINT refunds_cause_check;
ALTER TABLE refunds ADD CONSTRAINT refunds_cause_check
    CHECK (cause IN ('buyer', 'staff', 'event_cancelled', 'exchange', 'provider'));
"""


def upgrade() -> None:
    op.execute(DDL)
