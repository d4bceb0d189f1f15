"""What goes back for a cheaper seat, and what of the difference is kept, as the refund policy has decided."""

from alembic import op

revision = "0002"
down_revision = "0001"

DDL = """
ALTER TABLE exchanges
    ADD COLUMN returns integer NOT NULL DEFAULT 0 CHECK (returns >= 0),
    ADD COLUMN fee integer NOT NULL DEFAULT 0 CHECK (fee >= 0);
-- Until now the whole difference went back.
UPDATE exchanges SET returns = greatest(-difference, 0);
ALTER TABLE exchanges
    ALTER COLUMN returns DROP DEFAULT,
    ALTER COLUMN fee DROP DEFAULT,
    ADD CONSTRAINT the_difference_is_shared_out CHECK (returns + fee = greatest(-difference, 0));
"""


def upgrade() -> None:
    op.execute(DDL)
