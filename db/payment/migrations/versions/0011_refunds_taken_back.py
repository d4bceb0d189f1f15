"""A refund that had succeeded and failed later: the money is with us again, and so the ledger says."""

from alembic import op

revision = "0011"
down_revision = "0010"

DDL = """
ALTER TABLE ledger_transactions
    DROP CONSTRAINT ledger_transactions_kind_check,
    ADD CONSTRAINT ledger_transactions_kind_check
        CHECK (kind IN ('authorized', 'voided', 'captured', 'refunded', 'refund_failed', 'fee'));
INSERT INTO ledger_routes VALUES ('refund_failed', 'refunds', -1), ('refund_failed', 'provider_clearing', 1);

CREATE OR REPLACE FUNCTION book_refund(given refunds) RETURNS void LANGUAGE sql AS $$
    SELECT book(provider, given.refund_id || ':' || given.number,
                CASE given.state WHEN 'succeeded' THEN 'refunded' ELSE 'refund_failed' END,
                booking_id, number, currency, given.amount)
    FROM attempts WHERE booking_id = given.booking_id AND number = given.attempt
$$;
DROP TRIGGER refunds_are_booked ON refunds;
CREATE TRIGGER refunds_are_booked AFTER UPDATE OF state ON refunds FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (NEW.state = 'succeeded' OR OLD.state = 'succeeded'))
    EXECUTE FUNCTION refund_moved();
"""


def upgrade() -> None:
    op.execute(DDL)
