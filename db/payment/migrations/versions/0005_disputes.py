"""Lines about disputed payments, and of kinds that the platform has no word for; differences about disputes."""

from alembic import op

revision = "0005"
down_revision = "0004"

DDL = """
ALTER TABLE provider_movements
    DROP CONSTRAINT provider_movements_kind_check,
    ADD CONSTRAINT provider_movements_kind_check CHECK (kind IN
        ('held', 'captured', 'refunded', 'refund_failed', 'disputed', 'dispute_reversed', 'other'));
ALTER TABLE reconciliation_differences
    DROP CONSTRAINT reconciliation_differences_kind_check,
    ADD CONSTRAINT reconciliation_differences_kind_check CHECK (kind IN
        ('missing_here', 'missing_there', 'amount', 'currency', 'state', 'dispute'));
"""


def upgrade() -> None:
    op.execute(DDL)
