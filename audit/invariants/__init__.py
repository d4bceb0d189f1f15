"""The invariants, by subject: each is one check whose docstring is the promise that it holds us to."""

from audit.invariants import consumers, holds, ledger, money, outcomes, sagas, seats, states
from audit.snapshot import Check

CHECKS: tuple[Check, ...] = (
    seats.a_seat_has_one_owner,
    seats.every_place_is_counted,
    seats.places_belong_to_live_bookings,
    money.money_taken_is_money_owed,
    money.a_booking_is_paid_once,
    money.nothing_stays_authorized,
    money.attempts_say_what_the_provider_says,
    ledger.every_ledger_transaction_balances,
    ledger.the_ledger_says_what_attempts_and_refunds_say,
    ledger.the_ledger_says_what_the_provider_says,
    holds.holds_have_live_bookings,
    holds.every_hold_has_an_end,
    holds.redis_knows_what_is_taken,
    holds.redis_counts_every_place,
    outcomes.an_end_is_told_once,
    outcomes.what_is_told_reaches_kafka,
    outcomes.kafka_tells_nothing_else,
    consumers.analytics_hears_of_every_sale,
    consumers.sales_are_counted_once,
    consumers.notification_hears_of_every_end,
    consumers.no_end_is_put_aside,
    consumers.search_shows_what_the_catalogue_says,
    states.states_follow_from_domain_events,
    sagas.what_is_unfinished_is_being_finished,
    sagas.nothing_outlasts_its_window,
    sagas.temporal_and_postgres_agree,
)
"""All of them; docs/operations.md says of each what to do when it is broken."""

__all__ = ["CHECKS"]
