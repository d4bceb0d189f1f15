"""News of refunds that are pending; and which order opened an attempt, so that a repeated step knows its own."""

from alembic import op

revision = "0008"
down_revision = "0007"

DDL = """
ALTER TABLE webhooks
    DROP CONSTRAINT webhooks_course_check,
    ADD CONSTRAINT webhooks_course_check CHECK (course IN ('ignored', 'saga', 'late', 'refund'));
ALTER TABLE attempts ADD COLUMN deadline timestamptz;
"""


def upgrade() -> None:
    op.execute(DDL)
