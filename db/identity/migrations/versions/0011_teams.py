"""Teams of organizers. A member's tokens end when the part changes or ends, as with roles."""

from alembic import op

revision = "0011"
down_revision = "0010"

DDL = """
CREATE TABLE teams (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'staff')),
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON team_members (user_id);

CREATE FUNCTION revoke_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE id = OLD.user_id FOR UPDATE; -- who issues a token waits: see db/identity/rights.py
    PERFORM revoke(OLD.user_id);
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_end_with_a_part_in_a_team AFTER DELETE OR UPDATE ON team_members
    FOR EACH ROW EXECUTE FUNCTION revoke_member();
"""


def upgrade() -> None:
    op.execute(DDL)
    op.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON teams, team_members TO seatwright_identity")
