"""Accounts at outside providers with which a person may log in."""

from alembic import op

revision = "0013"
down_revision = "0012"

DDL = """
CREATE TABLE outside_accounts (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subject)
);
CREATE INDEX outside_accounts_by_user ON outside_accounts (user_id);
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON outside_accounts TO seatwright_identity")
