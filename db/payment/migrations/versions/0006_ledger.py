"""The ledger in double entry: every movement of money is booked in the transaction that notes it, by triggers.

Triggers, because a statement of the application can be forgotten, and costs a round trip: what changes an attempt or a
refund books it, whoever does it. The application's role can only read, and book fees.
"""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
CREATE TABLE ledger_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('authorized', 'voided', 'captured', 'refunded', 'fee')),
    booking_id uuid NOT NULL,
    attempt integer NOT NULL,
    booked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (provider, reference, kind)
);
CREATE INDEX ledger_of_booking ON ledger_transactions (booking_id);
CREATE INDEX ledger_by_day ON ledger_transactions (provider, booked_at);

-- Debits are positive, credits negative, in minor units.
CREATE TABLE ledger_entries (
    transaction_id bigint NOT NULL REFERENCES ledger_transactions,
    account text NOT NULL CHECK (account IN
        ('provider_holds', 'customer_holds', 'provider_clearing', 'booking_revenue', 'refunds', 'provider_fees')),
    currency text NOT NULL,
    amount bigint NOT NULL CHECK (amount <> 0),
    PRIMARY KEY (transaction_id, account, currency)
);

-- What each kind of movement does to the accounts: debit 1, credit -1.
CREATE TABLE ledger_routes (
    kind text NOT NULL,
    account text NOT NULL,
    sign integer NOT NULL CHECK (sign IN (1, -1)),
    PRIMARY KEY (kind, account)
);
INSERT INTO ledger_routes VALUES
    ('authorized', 'provider_holds', 1), ('authorized', 'customer_holds', -1),
    ('voided', 'provider_holds', -1), ('voided', 'customer_holds', 1),
    ('captured', 'provider_holds', -1), ('captured', 'customer_holds', 1),
    ('captured', 'provider_clearing', 1), ('captured', 'booking_revenue', -1),
    ('refunded', 'refunds', 1), ('refunded', 'provider_clearing', -1),
    ('fee', 'provider_fees', 1), ('fee', 'provider_clearing', -1);
"""

GUARDS = """
CREATE TRIGGER ledger_transactions_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- By statement, not by row and not deferred, since it costs a booking its time. What is added to a transaction has to
-- balance by itself, so the whole does.
CREATE FUNCTION refuse_imbalance() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM booked GROUP BY transaction_id, currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'a ledger transaction does not balance' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_transactions_balance AFTER INSERT ON ledger_entries
    REFERENCING NEW TABLE AS booked FOR EACH STATEMENT EXECUTE FUNCTION refuse_imbalance();
"""

BOOKING = """
-- Books one movement; booked again it changes nothing.
CREATE FUNCTION book(
    by_provider text, under text, what text, for_booking uuid, for_attempt integer, in_currency text, so_much bigint
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    booked bigint;
BEGIN
    INSERT INTO ledger_transactions (provider, reference, kind, booking_id, attempt)
    VALUES (by_provider, under, what, for_booking, for_attempt)
    ON CONFLICT DO NOTHING RETURNING id INTO booked;
    IF booked IS NOT NULL THEN
        INSERT INTO ledger_entries (transaction_id, account, currency, amount)
        SELECT booked, account, in_currency, sign * so_much FROM ledger_routes WHERE kind = what;
    END IF;
END $$;

-- Books what brings the ledger to where the attempt is, from wherever it was: so it may skip states, as with providers
-- who capture at once, and money that turns up late may be reserved again after it was let go (`round`).
CREATE FUNCTION book_attempt(paid attempts) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    reserved bigint;
    taken bigint;
    kept bigint;
    round integer;
    under text;
BEGIN
    IF paid.amount = 0 THEN
        RETURN;
    END IF;
    SELECT coalesce(sum(entry.amount) FILTER (WHERE account = 'provider_holds'), 0),
           coalesce(-sum(entry.amount) FILTER (WHERE account = 'booking_revenue'), 0),
           coalesce(sum(entry.amount) FILTER (WHERE account = 'provider_clearing'), 0),
           count(DISTINCT entry.transaction_id) FILTER (WHERE kind = 'voided') + 1
    INTO reserved, taken, kept, round
    FROM ledger_transactions booked JOIN ledger_entries entry ON entry.transaction_id = booked.id
    WHERE booked.booking_id = paid.booking_id AND booked.attempt = paid.number AND booked.kind <> 'fee';
    under := paid.booking_id || ':' || paid.number || CASE WHEN round > 1 THEN '/' || round ELSE '' END;

    IF paid.state IN ('authorized', 'captured', 'refunded') AND reserved = 0 AND taken = 0 THEN
        PERFORM book(paid.provider, under, 'authorized', paid.booking_id, paid.number, paid.currency, paid.amount);
    END IF;
    IF paid.state IN ('captured', 'refunded') AND taken = 0 THEN
        PERFORM book(paid.provider, under, 'captured', paid.booking_id, paid.number, paid.currency, paid.amount);
        kept := paid.amount;
    END IF;
    IF paid.state = 'refunded' AND kept > 0 THEN
        PERFORM book(paid.provider, under, 'refunded', paid.booking_id, paid.number, paid.currency, kept);
    END IF;
    -- One that is left is not decided as long as it is watched.
    IF (paid.state IN ('voided', 'declined') OR paid.state = 'left' AND NOT paid.watched) AND reserved > 0 THEN
        PERFORM book(paid.provider, under, 'voided', paid.booking_id, paid.number, paid.currency, reserved);
    END IF;
END $$;

CREATE FUNCTION attempt_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    -- The two steps of nearly every booking need not look at what is booked already.
    IF NEW.amount > 0 AND TG_OP = 'UPDATE' AND NEW.state = 'authorized' AND OLD.state IN ('open', 'action_required')
       OR NEW.amount > 0 AND TG_OP = 'UPDATE' AND NEW.state = 'captured' AND OLD.state = 'authorized' THEN
        PERFORM book(NEW.provider, NEW.booking_id || ':' || NEW.number, NEW.state, NEW.booking_id, NEW.number,
                     NEW.currency, NEW.amount);
    ELSE
        PERFORM book_attempt(NEW);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER attempts_are_booked AFTER UPDATE OF state, watched ON attempts FOR EACH ROW
    WHEN (NEW.state <> OLD.state OR OLD.watched AND NOT NEW.watched) EXECUTE FUNCTION attempt_moved();
CREATE TRIGGER new_attempts_are_booked AFTER INSERT ON attempts FOR EACH ROW
    WHEN (NEW.state <> 'open') EXECUTE FUNCTION attempt_moved();

CREATE FUNCTION book_refund(given refunds) RETURNS void LANGUAGE sql AS $$
    SELECT book(provider, given.refund_id || ':' || given.number, 'refunded', booking_id, number, currency,
                given.amount)
    FROM attempts WHERE booking_id = given.booking_id AND number = given.attempt
$$;

CREATE FUNCTION refund_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM book_refund(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER refunds_are_booked AFTER UPDATE OF state ON refunds FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND NEW.state = 'succeeded') EXECUTE FUNCTION refund_moved();

-- What the provider keeps for itself, as its list says; the one thing that the application books by hand.
CREATE FUNCTION book_fee(
    by_provider text, under text, for_booking uuid, for_attempt integer, in_currency text, so_much bigint
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    SELECT book(by_provider, under, 'fee', for_booking, for_attempt, in_currency, so_much)
$$;
"""

RIGHTS = """
REVOKE ALL ON FUNCTION book, book_attempt, book_refund, book_fee FROM PUBLIC;
GRANT EXECUTE ON FUNCTION book_fee TO seatwright_payment;
GRANT SELECT ON ledger_transactions, ledger_entries, ledger_routes TO seatwright_payment;
"""

# What was there before the ledger: refunds first, so that what is left of an attempt is right.
OPENING = """
SELECT book_attempt(jsonb_populate_record(attempts, '{"state": "captured"}')) FROM attempts
WHERE EXISTS (SELECT FROM refunds WHERE refunds.booking_id = attempts.booking_id AND refunds.attempt = attempts.number);
SELECT book_refund(refunds) FROM refunds WHERE state = 'succeeded';
SELECT book_attempt(attempts) FROM attempts;
"""


def upgrade() -> None:
    for part in (TABLES, GUARDS, BOOKING, RIGHTS, OPENING):
        op.execute(part)
