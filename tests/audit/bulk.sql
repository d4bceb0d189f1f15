-- Bookings that have ended, by the rules of the services: of twenty, twelve are confirmed, four expired, two cancelled,
-- one failed with the money given back, one was declined and then expired. Each asks for two seats of section A, every
-- third for two places in Standing, too. Parameters: the events, and how many bookings each gets.
CREATE TEMP TABLE seeded AS
SELECT gen_random_uuid() AS id, gen_random_uuid() AS user_id, e.id AS event_id, e.name AS event_name, e.starts_at,
       e.currency, steps, steps[cardinality(steps)] AS status,
       ARRAY[format('A-%%s-%%s', (2 * i - 2) / 100 + 1, (2 * i - 2) %% 100 + 1),
             format('A-%%s-%%s', (2 * i - 1) / 100 + 1, (2 * i - 1) %% 100 + 1)] AS seats,
       CASE WHEN i %% 3 = 0 THEN 2 ELSE 0 END AS standing,
       10000 + CASE WHEN i %% 3 = 0 THEN 6000 ELSE 0 END AS amount,
       now() - interval '2 hours' - i * interval '10 milliseconds' AS created_at
FROM events e CROSS JOIN generate_series(1, %(bookings)s) AS i CROSS JOIN LATERAL (
    SELECT CASE
        WHEN i %% 20 < 12 THEN ARRAY['held', 'paying', 'confirmed']
        WHEN i %% 20 < 16 THEN ARRAY['held', 'expired']
        WHEN i %% 20 < 18 THEN ARRAY['held', 'cancelled']
        WHEN i %% 20 < 19 THEN ARRAY['held', 'paying', 'failed']
        ELSE ARRAY['held', 'paying', 'held', 'expired']
    END AS steps
) AS story
WHERE e.id = ANY (%(events)s);

INSERT INTO bookings
    (id, user_id, event_id, status, seats, quantities, amount, currency, body_sha256, version, expires_at, created_at,
     updated_at)
SELECT id, user_id, event_id, status, seats,
       CASE standing WHEN 0 THEN '{}' ELSE jsonb_build_object('Standing', standing) END,
       amount, currency, '', cardinality(steps), created_at + interval '1 hour', created_at, created_at
FROM seeded;

UPDATE seats SET status = 'sold', booking_id = seeded.id, version = seats.version + 2
FROM (SELECT id, event_id, unnest(seats) AS name FROM seeded WHERE status = 'confirmed') AS seeded
WHERE seats.event_id = seeded.event_id AND seats.name = seeded.name;

INSERT INTO general_claims (booking_id, event_id, section, quantity, status)
SELECT id, event_id, 'Standing', standing, 'sold' FROM seeded WHERE status = 'confirmed' AND standing > 0;
UPDATE sections SET claimed = claimed + counted.places
FROM (SELECT event_id, sum(standing) AS places FROM seeded WHERE status = 'confirmed' GROUP BY event_id) AS counted
WHERE sections.event_id = counted.event_id AND sections.name = 'Standing';

INSERT INTO tickets (booking_id, event_id, section, seat, ordinal)
SELECT id, event_id, 'A', seat, ordinal FROM seeded, unnest(seats) WITH ORDINALITY AS asked (seat, ordinal)
WHERE status = 'confirmed'
UNION ALL
SELECT id, event_id, 'Standing', NULL, ordinal FROM seeded, generate_series(3, 2 + standing) AS ordinal
WHERE status = 'confirmed';

CREATE TEMP TABLE told AS
SELECT id AS aggregate_id, sequence, uuidv7() AS id, 'booking.' || step AS type,
       created_at + sequence * interval '1 second' AS occurred_at,
       jsonb_build_object('booking_id', id, 'event_id', event_id, 'user_id', user_id, 'status', step)
       || CASE step
           WHEN 'held' THEN jsonb_build_object(
               'seats', seats,
               'quantities', CASE standing WHEN 0 THEN '{}' ELSE jsonb_build_object('Standing', standing) END,
               'amount', amount, 'currency', currency, 'expires_at', created_at + interval '1 hour')
           WHEN 'confirmed' THEN jsonb_build_object(
               'event_name', event_name, 'starts_at', starts_at, 'amount', amount, 'currency', currency, 'tickets',
               (SELECT jsonb_agg(jsonb_build_object('id', t.id, 'section', t.section, 'seat', t.seat))
                FROM tickets t WHERE t.booking_id = seeded.id))
           WHEN 'failed' THEN jsonb_build_object('reason', 'event-not-on-sale')
           ELSE '{}'
       END AS data
FROM seeded, unnest(steps) WITH ORDINALITY AS lived (step, sequence);

INSERT INTO domain_events (aggregate_id, sequence, id, type, data, occurred_at)
SELECT aggregate_id, sequence, id, type, data, occurred_at FROM told;
