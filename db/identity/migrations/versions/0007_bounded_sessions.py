"""Bounds the sessions and grants of a person, and what their end writes into `revocations`."""

from alembic import op

revision = "0007"
down_revision = "0006"

# In the order in which the application uses them (`sessions.end_all`), so that the two never wait in a circle.
LOCKS = "LOCK TABLE sessions, authorization_codes, refresh_families, family_tokens IN ACCESS EXCLUSIVE MODE"

# The version from before knows nothing of the column, so the database itself keeps it.
LAST_USE_OF_A_FAMILY = """
ALTER TABLE refresh_families ADD COLUMN last_used_at timestamptz NOT NULL DEFAULT now();

CREATE FUNCTION note_use_of_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE refresh_families SET last_used_at = now() WHERE id = NEW.family;
    RETURN NULL;
END $$;
CREATE TRIGGER a_new_token_is_a_use AFTER INSERT ON family_tokens
    FOR EACH ROW EXECUTE FUNCTION note_use_of_family();
"""

# Every process reads each revocation once a second for as long as an access token may live. So a family has none of its
# own if its last access token has expired (15 minutes, and some for a slow transaction), or if this transaction has
# revoked all tokens of its person.
REVOCATIONS = """
CREATE FUNCTION revoke_person(person uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM revoke(person);
    PERFORM set_config('seatwright.revoked_person', person::text, true);
END $$;

CREATE FUNCTION revoke_ended_family() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.last_used_at > now() - interval '20 minutes'
        AND current_setting('seatwright.revoked_person', true) IS DISTINCT FROM OLD.user_id::text
    THEN
        PERFORM revoke(OLD.id);
    END IF;
    RETURN NULL;
END $$;

DROP TRIGGER tokens_end_with_their_session ON sessions;
CREATE TRIGGER tokens_end_with_their_session AFTER UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended_family();
DROP TRIGGER tokens_end_with_a_deleted_session ON sessions;
CREATE TRIGGER tokens_end_with_a_deleted_session AFTER DELETE ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL) EXECUTE FUNCTION revoke_ended_family();
DROP TRIGGER tokens_end_with_their_family ON refresh_families;
CREATE TRIGGER tokens_end_with_their_family AFTER UPDATE ON refresh_families
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended_family();
DROP TRIGGER tokens_end_with_a_deleted_family ON refresh_families;
CREATE TRIGGER tokens_end_with_a_deleted_family AFTER DELETE ON refresh_families
    FOR EACH ROW WHEN (OLD.ended_at IS NULL) EXECUTE FUNCTION revoke_ended_family();
"""

# `db/identity/pruning.py` finds by these what has ended; a deleted family deletes its code.
PRUNING = """
CREATE INDEX sessions_that_ended ON sessions (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX families_that_ended ON refresh_families (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX authorization_codes_by_family ON authorization_codes (family);
"""

# A token lives for 30 days. The application ends later surplus where it adds one. The last use of a family that has
# ended is read by nothing: it keeps the time of this migration.
SURPLUS = """
UPDATE refresh_families SET last_used_at = GREATEST(
    created_at, (SELECT max(expires_at) - interval '30 days' FROM family_tokens WHERE family = refresh_families.id)
) WHERE ended_at IS NULL;
UPDATE sessions SET ended_at = now() FROM (
    SELECT id, row_number() OVER (PARTITION BY user_id ORDER BY last_used_at DESC, id DESC) AS place
    FROM sessions WHERE ended_at IS NULL
) AS ranked WHERE ranked.id = sessions.id AND place > 50;
UPDATE refresh_families SET ended_at = now() FROM (
    SELECT id, row_number() OVER (PARTITION BY user_id, client_id ORDER BY last_used_at DESC, id DESC) AS place
    FROM refresh_families WHERE ended_at IS NULL
) AS ranked WHERE ranked.id = refresh_families.id AND place > 50;
"""


def upgrade() -> None:
    for change in (LOCKS, LAST_USE_OF_A_FAMILY, REVOCATIONS, PRUNING, SURPLUS):
        op.execute(change)
