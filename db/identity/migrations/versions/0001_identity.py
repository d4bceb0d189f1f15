"""Accounts, sessions, second factors, teams, OAuth clients, signing keys, the audit log, domain events and outbox.

Personal data is sealed under a key for each person (see `db.identity.vault`), and an address is found by a keyed hash.
Access tokens are revoked by triggers, so that code that ends a session or removes a role cannot forget it.
"""

from alembic import op

from db.migration_helpers import OUTBOX_DDL, grant_to_application

revision = "0001"
down_revision = None

ACCOUNTS = """
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    address_hash bytea UNIQUE CHECK (length(address_hash) = 32),
    profile bytea,
    password_hash text,
    roles text[] NOT NULL CHECK (roles <@ ARRAY['customer', 'organizer', 'support', 'operator']),
    created_at timestamptz NOT NULL DEFAULT now(),
    verified_at timestamptz,
    erased_at timestamptz,
    CONSTRAINT erased_means_nothing_is_left CHECK (
        CASE WHEN erased_at IS NULL
        THEN num_nulls(address_hash, profile, password_hash) = 0
        ELSE num_nonnulls(address_hash, profile, password_hash, verified_at) = 0 END
    )
);

-- Accounts at other providers with which a person may log in.
CREATE TABLE outside_accounts (
    provider text NOT NULL,
    subject text NOT NULL,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    linked_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, subject)
);
CREATE INDEX outside_accounts_by_user ON outside_accounts (user_id);

CREATE TABLE sessions (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    user_id uuid NOT NULL REFERENCES users,
    device bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    family uuid NOT NULL REFERENCES sessions,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family);
"""

# A second factor (TOTP), the codes for the day when it is lost, and log-ins that wait for either. `wrong_codes` counts
# the wrong codes in a row, so that a new log-in gives no new guesses.
SECOND_FACTORS = """
CREATE TABLE second_factors (
    user_id uuid PRIMARY KEY REFERENCES users,
    secret bytea NOT NULL,
    confirmed_at timestamptz,
    last_step bigint NOT NULL DEFAULT 0,
    wrong_codes integer NOT NULL DEFAULT 0
);
CREATE TABLE recovery_codes (
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    hash bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (user_id, hash)
);
CREATE TABLE log_in_challenges (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    user_id uuid NOT NULL REFERENCES second_factors ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    tries smallint NOT NULL DEFAULT 0
);
CREATE INDEX log_in_challenges_by_user ON log_in_challenges (user_id);
"""

# A member without `accepted_at` is only invited.
TEAMS = """
CREATE TABLE teams (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE team_members (
    team_id uuid NOT NULL REFERENCES teams,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    role text NOT NULL CHECK (role IN ('owner', 'staff')),
    accepted_at timestamptz,
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_members_by_user ON team_members (user_id);
"""

OAUTH = """
CREATE TABLE clients (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    name text NOT NULL,
    secret_hash bytea CHECK (length(secret_hash) = 32),
    redirect_uris text[] NOT NULL,
    grants text[] NOT NULL CHECK (grants <@ ARRAY['authorization_code', 'refresh_token', 'client_credentials']),
    scopes text[] NOT NULL CHECK (NOT scopes @> ARRAY['seatwright']),
    roles text[] NOT NULL CHECK (roles <@ ARRAY['customer', 'organizer']),
    may_introspect boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CHECK (secret_hash IS NOT NULL OR NOT (may_introspect OR grants @> ARRAY['client_credentials']))
);

CREATE TABLE refresh_families (
    id uuid PRIMARY KEY DEFAULT uuidv7(),
    client_id uuid NOT NULL REFERENCES clients,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz
);
CREATE INDEX refresh_families_by_user ON refresh_families (user_id);

CREATE TABLE family_tokens (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    family uuid NOT NULL REFERENCES refresh_families ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at timestamptz
);
CREATE INDEX family_tokens_by_family ON family_tokens (family);

CREATE TABLE authorization_codes (
    hash bytea PRIMARY KEY CHECK (length(hash) = 32),
    client_id uuid NOT NULL REFERENCES clients,
    user_id uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    challenge text NOT NULL,
    nonce text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    family uuid REFERENCES refresh_families ON DELETE CASCADE
);
"""

TOKENS = """
CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    public jsonb NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    signs_from timestamptz NOT NULL UNIQUE,
    revoked_at timestamptz
);

CREATE TABLE revocations (
    subject uuid PRIMARY KEY,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX revocations_by_time ON revocations (revoked_at);

CREATE FUNCTION revoke(ended uuid) RETURNS void LANGUAGE sql AS $$
    INSERT INTO revocations (subject) VALUES (ended)
    ON CONFLICT (subject) DO UPDATE SET revoked_at = clock_timestamp();
$$;

CREATE FUNCTION revoke_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM revoke(OLD.id);
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_end_with_their_session AFTER UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_session AFTER DELETE ON sessions
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_role AFTER UPDATE ON users
    FOR EACH ROW WHEN (NOT NEW.roles @> OLD.roles) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_user AFTER DELETE ON users
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_their_client AFTER UPDATE ON clients
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_their_family AFTER UPDATE ON refresh_families
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION revoke_ended();
CREATE TRIGGER tokens_end_with_a_deleted_family AFTER DELETE ON refresh_families
    FOR EACH ROW EXECUTE FUNCTION revoke_ended();

-- A change of a member's role ends the member's tokens; an invitation gave none.
CREATE FUNCTION revoke_member() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM users WHERE id = OLD.user_id FOR UPDATE; -- who issues a token waits: see db/identity/rights.py
    PERFORM revoke(OLD.user_id);
    RETURN NULL;
END $$;
CREATE TRIGGER tokens_end_with_a_part_in_a_team AFTER DELETE OR UPDATE ON team_members
    FOR EACH ROW WHEN (OLD.accepted_at IS NOT NULL) EXECUTE FUNCTION revoke_member();
"""

# The application has fewer rights here: it changes no entry of the audit log and no token, and of a person's key only
# how it is wrapped, for the day when the master key is replaced.
GUARDED = """
CREATE TABLE user_keys (
    user_id uuid PRIMARY KEY REFERENCES users,
    wrapped bytea NOT NULL
);
GRANT SELECT, INSERT, DELETE, UPDATE (wrapped) ON user_keys TO seatwright_identity;

CREATE TABLE audit_log (
    number bigint PRIMARY KEY CHECK (number > 0),
    at timestamptz NOT NULL,
    actor text NOT NULL,
    roles text NOT NULL,
    action text NOT NULL,
    object text NOT NULL,
    origin bytea,
    request_id text,
    previous bytea NOT NULL UNIQUE CHECK (length(previous) = 32),
    hash bytea NOT NULL CHECK (length(hash) = 32)
);
CREATE INDEX audit_log_by_object ON audit_log (object, number);
CREATE INDEX audit_log_by_actor ON audit_log (actor, number);
CREATE TRIGGER audit_log_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
GRANT SELECT, INSERT ON audit_log TO seatwright_identity;

-- Tokens that travel in a mail and so prove that a person reads their address.
CREATE TABLE mail_tokens (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    purpose text NOT NULL CHECK (purpose IN ('verification', 'password_reset')),
    hash bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX mail_tokens_by_user ON mail_tokens (user_id, purpose);
GRANT SELECT, INSERT, DELETE ON mail_tokens TO seatwright_identity;
"""


def upgrade() -> None:
    for tables in (ACCOUNTS, SECOND_FACTORS, TEAMS, OAUTH, TOKENS, OUTBOX_DDL):
        op.execute(tables)
    grant_to_application("identity")
    op.execute(GUARDED)
