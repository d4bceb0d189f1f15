"""A person's words in the reason of a refund are sealed; `seatwright migrate` seals those of before."""

from alembic import op

revision = "0006"
down_revision = "0005"

DDL = """
ALTER TABLE refunds
    ADD COLUMN sealed_reason text; -- base64url, under the key of the booking's buyer; null: the platform's own words

CREATE INDEX refunds_with_reason_in_clear ON refunds (id)
    WHERE cause IN ('buyer', 'staff') AND reason <> '';
"""


def upgrade() -> None:
    op.execute(DDL)
