"""Money that went back, by the day on which it did; a day's sales stay what they were."""

from alembic import op

revision = "0002"
down_revision = "0001"


DDL = """
CREATE TABLE daily_refunds (
    event_id uuid NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    day date NOT NULL,
    refunds bigint NOT NULL CHECK (refunds >= 0),
    tickets bigint NOT NULL CHECK (tickets >= 0),
    amount bigint NOT NULL CHECK (amount >= 0),
    PRIMARY KEY (event_id, currency, day)
);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON daily_refunds TO seatwright_analytics")
