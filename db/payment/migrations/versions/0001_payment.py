"""Payment attempts, refunds, webhooks, the ledger, reconciliation, domain events and outbox.

The ledger is in double entry. Triggers post every movement of money in the transaction that changes the attempt or the
refund: a statement of the application can be forgotten, and costs a round trip. The application's role can only read
the ledger, and post fees.
"""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

PAYMENTS = """
CREATE TABLE attempts (
    booking_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    exchange_id uuid, -- the exchange for a dearer seat that this attempt pays; null: the booking itself
    provider text NOT NULL,
    amount integer NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN
        ('open', 'action_required', 'authorized', 'captured', 'declined', 'voided', 'refunded', 'left')),
    intent_id text,
    action_url text, -- kept because some providers name their page only once
    decline_code text,
    keys_minted integer NOT NULL DEFAULT 0,
    captures_asked integer NOT NULL DEFAULT 0, -- a local activity's own count of attempts ends with its worker
    watched boolean NOT NULL DEFAULT false, -- left undecided, and a workflow still follows it
    deadline timestamptz, -- the pay command's, so that a repeated step recognizes its own attempt
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (booking_id, number),
    CHECK ((closed_at IS NOT NULL) = (state IN ('declined', 'voided', 'refunded', 'left')))
);
CREATE UNIQUE INDEX one_live_attempt_per_booking_or_exchange ON attempts (booking_id, exchange_id)
    NULLS NOT DISTINCT WHERE closed_at IS NULL;
CREATE UNIQUE INDEX attempts_by_intent ON attempts (provider, intent_id) WHERE intent_id IS NOT NULL;
CREATE INDEX attempts_watched ON attempts (booking_id) WHERE watched;

CREATE TABLE refunds (
    refund_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    booking_id uuid NOT NULL,
    attempt integer NOT NULL,
    amount integer NOT NULL CHECK (amount > 0),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'pending', 'succeeded', 'failed')),
    code text,
    keys_minted integer NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL DEFAULT now(),
    settled_at timestamptz,
    PRIMARY KEY (refund_id, number),
    FOREIGN KEY (booking_id, attempt) REFERENCES attempts,
    CHECK ((state IN ('succeeded', 'failed')) = (settled_at IS NOT NULL))
);
CREATE INDEX refunds_of_attempt ON refunds (booking_id, attempt);
-- A second try at the same intent may begin only after the first has failed for certain.
CREATE UNIQUE INDEX one_living_try_per_refund_and_attempt ON refunds (refund_id, attempt) WHERE state <> 'failed';
"""

RECONCILIATION = """
-- What a provider lists of a day; `intent_id` where the list names one.
CREATE TABLE provider_movements (
    provider text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('held', 'captured', 'refunded', 'refund_failed')),
    day date NOT NULL,
    booking_id uuid,
    intent_id text,
    amount bigint NOT NULL,
    currency text NOT NULL,
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (provider, reference, kind)
);
CREATE INDEX provider_movements_by_day ON provider_movements (provider, day, booking_id);

-- Where the provider's list differs from the ledger.
CREATE TABLE reconciliation_differences (
    provider text NOT NULL,
    day date NOT NULL,
    subject text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('missing_here', 'missing_there', 'amount', 'currency', 'state')),
    ours text NOT NULL,
    theirs text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    seen_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    PRIMARY KEY (provider, day, subject, kind)
);

CREATE TABLE reconciled_days (
    provider text NOT NULL,
    day date NOT NULL,
    finished_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, day)
);
"""

WEBHOOKS = """
CREATE TABLE webhooks (
    provider text NOT NULL,
    event_id text NOT NULL,
    type text NOT NULL,
    intent_id text,
    booking_id uuid,
    course text NOT NULL CHECK (course IN ('ignored', 'saga', 'late', 'refund')),
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, event_id)
);
GRANT SELECT, INSERT ON webhooks TO seatwright_payment;
"""

LEDGER = """
CREATE TABLE ledger_transactions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    provider text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('authorized', 'voided', 'captured', 'refunded', 'refund_failed', 'fee')),
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
    ('refund_failed', 'refunds', -1), ('refund_failed', 'provider_clearing', 1),
    ('fee', 'provider_fees', 1), ('fee', 'provider_clearing', -1);
GRANT SELECT ON ledger_transactions, ledger_entries, ledger_routes TO seatwright_payment;
"""

LEDGER_GUARDS = """
CREATE TRIGGER ledger_transactions_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER ledger_entries_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Runs by statement, not by row and not deferred, because every booking waits for it. Each addition to a transaction
-- has to balance by itself, so that the whole transaction balances.
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

POSTING = """
-- Posts one movement; posting it again changes nothing.
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

-- Posts the difference between the ledger and the attempt. An attempt may skip states, for example with a provider that
-- captures at once. Money that arrives late may be reserved again after it was voided (`round` counts that).
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
    SELECT book(provider, given.refund_id || ':' || given.number,
                CASE given.state WHEN 'succeeded' THEN 'refunded' ELSE 'refund_failed' END,
                booking_id, number, currency, given.amount)
    FROM attempts WHERE booking_id = given.booking_id AND number = given.attempt
$$;

CREATE FUNCTION refund_moved() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
BEGIN
    PERFORM book_refund(NEW);
    RETURN NULL;
END $$;
CREATE TRIGGER refunds_are_booked AFTER UPDATE OF state ON refunds FOR EACH ROW
    WHEN (NEW.state <> OLD.state AND (NEW.state = 'succeeded' OR OLD.state = 'succeeded'))
    EXECUTE FUNCTION refund_moved();

-- The provider's fee, as its list says. Only this the application posts itself.
CREATE FUNCTION book_fee(
    by_provider text, under text, for_booking uuid, for_attempt integer, in_currency text, so_much bigint
) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = public AS $$
    SELECT book(by_provider, under, 'fee', for_booking, for_attempt, in_currency, so_much)
$$;

REVOKE ALL ON FUNCTION book, book_attempt, book_refund, book_fee FROM PUBLIC;
GRANT EXECUTE ON FUNCTION book_fee TO seatwright_payment;
"""


def upgrade() -> None:
    for tables in (PAYMENTS, RECONCILIATION, OUTBOX_DDL):
        op.execute(tables)
    grant_to_application("payment")
    for part in (WEBHOOKS, LEDGER, LEDGER_GUARDS, POSTING):  # with narrower rights
        op.execute(part)
