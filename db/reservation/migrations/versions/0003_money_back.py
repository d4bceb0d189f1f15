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

-- A version from before this migration may still run. It knows neither column, and gives the whole difference back. A
-- default of 0 would keep the difference, if a worker of this version ends such an exchange.
CREATE FUNCTION return_whole_difference() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.returns := greatest(-NEW.difference, 0);
    NEW.fee := 0;
    RETURN NEW;
END $$;
CREATE TRIGGER exchanges_of_an_earlier_version BEFORE INSERT ON exchanges
    FOR EACH ROW WHEN (NEW.returns IS NULL AND NEW.fee IS NULL) EXECUTE FUNCTION return_whole_difference();

ALTER TABLE refunds DROP CONSTRAINT refunds_cause_check;
ALTER TABLE refunds ADD CONSTRAINT refunds_cause_check
    CHECK (cause IN ('buyer', 'staff', 'event_cancelled', 'exchange', 'provider'));
"""


def upgrade() -> None:
    op.execute(DDL)
