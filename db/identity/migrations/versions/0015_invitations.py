"""Nobody belongs to a team before they have agreed: until then a part in it is an invitation, and ends no tokens."""

from alembic import op

revision = "0015"
down_revision = "0014"

DDL = """
ALTER TABLE team_members ADD accepted_at timestamptz DEFAULT now(); -- whoever belongs to one today goes on
ALTER TABLE team_members ALTER accepted_at DROP DEFAULT;
DROP TRIGGER tokens_end_with_a_part_in_a_team ON team_members;
CREATE TRIGGER tokens_end_with_a_part_in_a_team AFTER DELETE OR UPDATE ON team_members
    FOR EACH ROW WHEN (OLD.accepted_at IS NOT NULL) EXECUTE FUNCTION revoke_member();
"""


def upgrade() -> None:
    op.execute(DDL)
