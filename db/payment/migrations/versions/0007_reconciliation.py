"""What providers list of a day, and where that differs from the ledger."""

from alembic import op

revision = "0007"
down_revision = "0006"

DDL = """
CREATE TABLE provider_movements (
    provider text NOT NULL,
    reference text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('held', 'captured', 'refunded', 'refund_failed')),
    day date NOT NULL,
    booking_id uuid,
    amount bigint NOT NULL,
    currency text NOT NULL,
    happened_at timestamptz NOT NULL,
    PRIMARY KEY (provider, reference, kind)
);
CREATE INDEX provider_movements_by_day ON provider_movements (provider, day, booking_id);

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
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_movements, reconciliation_differences, reconciled_days
    TO seatwright_payment;
"""


def upgrade() -> None:
    op.execute(DDL)
