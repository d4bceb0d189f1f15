"""Writes a history of confirmed bookings of past events, two seats each, directly into the tables."""

from __future__ import annotations

import psycopg
from psycopg import sql

from bench.progress import say
from config.settings import Settings, secret

BOOKINGS_AN_EVENT = 20_000

# As the superuser and without triggers: the history is neither published nor checked for allowed transitions.
_WITHOUT_TRIGGERS = "SET session_replication_role = replica; SET synchronous_commit = off"

_RESERVATION = (
    """
    CREATE TEMPORARY TABLE past AS
    SELECT n, n / {an_event} AS nth, uuidv7() AS id, uuidv7() AS user_id, now() - interval '400 days' * random() AS at,
           ARRAY['A-' || n % {an_event} + 1 || '-1', 'A-' || n % {an_event} + 1 || '-2'] AS seats
    FROM generate_series(0, {bookings} - 1) AS n
    """,
    "CREATE TEMPORARY TABLE past_events AS SELECT nth, uuidv7() AS event_id FROM past GROUP BY nth",
    """
    INSERT INTO events (id, organizer_id, name, starts_at, currency, hold_seconds, status)
    SELECT event_id, uuidv7(), 'past ' || nth, now() - interval '1 day', 'EUR', 600, 'on_sale' FROM past_events
    """,
    """
    INSERT INTO sections (event_id, name, position, kind, price, rows, seats_per_row, capacity)
    SELECT event_id, 'A', 0, 'seated', 5000, {an_event}, 2, {an_event} * 2 FROM past_events
    """,
    """
    INSERT INTO bookings (id, user_id, event_id, status, seats, quantities, amount, currency, body_sha256, version,
                          expires_at, created_at, updated_at)
    SELECT id, user_id, event_id, 'confirmed', seats, '{{}}', 10000, 'EUR', md5(n::text) || md5(id::text), 3, at, at, at
    FROM past JOIN past_events USING (nth)
    """,
    """
    INSERT INTO seats (event_id, name, section, status, booking_id, version)
    SELECT event_id, seat, 'A', 'sold', id, 2 FROM past JOIN past_events USING (nth), unnest(seats) AS seat
    """,
    """
    INSERT INTO tickets (booking_id, event_id, section, seat, ordinal, issued_at)
    SELECT id, event_id, 'A', seat, ordinal, at
    FROM past JOIN past_events USING (nth), unnest(seats) WITH ORDINALITY AS of_booking (seat, ordinal)
    """,
    """
    INSERT INTO domain_events (aggregate_id, sequence, type, data, occurred_at)
    SELECT id, ordinality, 'booking.' || status,
           jsonb_build_object('booking_id', id, 'event_id', event_id, 'user_id', user_id, 'status', status,
                              'seats', seats, 'amount', 10000, 'currency', 'EUR'), at
    FROM past JOIN past_events USING (nth),
         unnest(ARRAY['held', 'paying', 'confirmed']) WITH ORDINALITY AS steps (status, ordinality)
    """,
    "VACUUM (ANALYZE)",  # now, so that no autovacuum runs during the measurement
)

_PAYMENT = (
    """
    CREATE TEMPORARY TABLE past AS
    SELECT n, uuidv7() AS id, now() - interval '400 days' * random() AS at FROM generate_series(1, {bookings}) AS n
    """,
    """
    INSERT INTO attempts (booking_id, number, provider, amount, currency, state, intent_id, opened_at)
    SELECT id, 1, 'stripe', 10000, 'EUR', 'captured', 'pi_past' || n, at FROM past
    """,
    """
    INSERT INTO domain_events (aggregate_id, sequence, type, data, occurred_at)
    SELECT id, ordinality, 'payment.' || state,
           jsonb_build_object('booking_id', id, 'provider', 'stripe', 'attempt', 1, 'amount', 10000,
                              'currency', 'EUR'), at
    FROM past, unnest(ARRAY['authorized', 'captured']) WITH ORDINALITY AS steps (state, ordinality)
    """,
    "VACUUM (ANALYZE)",  # now, so that no autovacuum runs during the measurement
)


def seed_history(settings: Settings, bookings: int) -> None:
    """Write past bookings into the databases of reservation and payment, and let Postgres analyze them.

    Redis, Kafka and Temporal have no trace of them, as after a year in production.
    """
    for service, statements in (("reservation", _RESERVATION), ("payment", _PAYMENT)):
        dsn = secret(settings.postgres_admin_dsn)
        with psycopg.connect(dsn, dbname=f"seatwright_{service}", autocommit=True) as connection:
            connection.execute(_WITHOUT_TRIGGERS)
            for statement in statements:
                say(f"{service}: {' '.join(statement.split()[:4])} …")
                numbers = {"bookings": sql.Literal(bookings), "an_event": sql.Literal(BOOKINGS_AN_EVENT)}
                connection.execute(sql.SQL(statement).format(**numbers))
