"""Payment attempts, domain events and outbox."""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

DDL = """
CREATE TABLE attempts (
    booking_id uuid NOT NULL,
    number integer NOT NULL CHECK (number > 0),
    provider text NOT NULL,
    amount integer NOT NULL CHECK (amount >= 0),
    currency text NOT NULL,
    state text NOT NULL DEFAULT 'open'
        CHECK (state IN ('open', 'action_required', 'authorized', 'captured', 'declined', 'voided', 'refunded')),
    intent_id text,
    decline_code text,
    keys_minted integer NOT NULL DEFAULT 0,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    PRIMARY KEY (booking_id, number),
    CHECK ((closed_at IS NOT NULL) = (state IN ('declined', 'voided', 'refunded')))
);
CREATE UNIQUE INDEX one_live_attempt_per_booking ON attempts (booking_id) WHERE closed_at IS NULL;
CREATE UNIQUE INDEX attempts_by_intent ON attempts (provider, intent_id) WHERE intent_id IS NOT NULL;
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute(OUTBOX_DDL)
    grant_to_application("payment")
