"""The invariants, by subject; the docstring of each function is the rule that it checks."""

from audit.invariants import consumers, holds, ledger, money, outcomes, sagas, seats, states
from audit.snapshot import Invariant

STATE: tuple[Invariant, ...] = (
    seats.a_seat_has_one_owner,
    seats.every_place_is_counted,
    seats.places_belong_to_live_bookings,
    money.money_taken_is_money_owed,
    money.a_booking_is_paid_once,
    money.no_money_stays_authorized,
    money.attempts_match_the_provider,
    money.money_is_of_the_amount_and_currency_owed,
    money.a_cancelled_event_keeps_only_earlier_fees,
    ledger.every_ledger_transaction_balances,
    ledger.the_ledger_matches_attempts_and_refunds,
    ledger.the_ledger_matches_the_provider,
    holds.holds_have_live_bookings,
    holds.every_hold_expires,
    holds.redis_has_every_taken_place,
    holds.redis_counts_every_place,
    holds.redis_forgets_past_events,
    outcomes.an_outcome_is_recorded_once,
    states.states_follow_from_domain_events,
    sagas.every_open_booking_has_a_running_saga,
    sagas.no_booking_outlasts_its_window,
    sagas.no_saga_fails_for_ever,
    sagas.temporal_and_postgres_agree,
)
"""What the services, Redis, Temporal and the providers have at this moment."""

DELIVERIES: tuple[Invariant, ...] = (
    outcomes.every_outcome_reaches_kafka,
    outcomes.kafka_has_no_other_outcomes,
    consumers.analytics_receives_every_sale,
    consumers.sales_are_counted_once,
    consumers.notification_receives_every_outcome,
    consumers.no_outcome_is_a_dead_letter,
    consumers.search_matches_the_catalogue,
)
"""What has reached Kafka and the consumers. Each check reads Kafka, from the audited bookings' first message on."""

INVARIANTS: tuple[Invariant, ...] = (*STATE, *DELIVERIES)
"""All invariants; docs/operations.md says what to do when one is broken."""

__all__ = ["DELIVERIES", "INVARIANTS", "STATE"]
