"""Where each item of the OWASP API Security Top 10 (2023) is shown, by the names of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SHOWN: Final[Mapping[str, Sequence[str]]] = {
    "API1 Broken object level authorization": (
        "security/test_owners.py::test_every_route_that_names_an_object_is_in_the_table",
        "security/test_owners.py::test_an_object_exists_for_its_owner_and_staff_and_for_no_other_caller",
        "security/test_owners.py::test_another_persons_object_is_answered_like_an_unknown_one",
        "security/test_teams.py::test_staff_of_a_team_sees_its_drafts_and_sales_and_changes_nothing",
        "api/test_grants.py::test_a_person_ends_what_one_application_may_do_and_others_go_on",
    ),
    "API2 Broken authentication": (
        "security/test_tokens.py::test_a_forged_or_stale_token_is_refused",
        "security/test_tokens.py::test_the_same_tokens_are_accepted_where_nothing_is_wrong_with_them",
        "security/test_revocation.py::test_an_ended_session_ends_its_access_tokens",
        "security/test_revocation.py::test_a_stolen_refresh_token_ends_the_session_s_access_tokens_in_every_process",
        "security/test_keys.py::test_a_new_key_is_published_first_and_takes_over_without_losing_a_token",
        "api/test_oauth.py::test_a_refresh_token_used_twice_ends_the_grant_and_its_access_tokens",
        "api/test_oauth.py::test_a_second_use_of_a_code_ends_all_that_came_of_the_first",
        "api/test_oauth.py::test_a_code_works_with_its_verifier_its_address_and_its_client_only",
        "api/test_outside_log_in.py::test_only_the_browser_that_left_may_come_back_and_only_with_its_own_state",
        "api/test_identity.py::test_a_wrong_password_and_an_unknown_address_get_the_same_answer_equally_fast",
        "api/test_fresh_log_in.py::test_a_bad_proof_is_refused_everywhere_and_changes_nothing",
        "api/test_fresh_log_in.py::test_a_provider_has_to_confirm_that_its_user_has_just_logged_in",
        "api/test_consents.py::test_a_page_that_waits_for_a_decision_ends_with_the_log_ins_of_its_person",
        "security/test_revocation.py::test_a_revocation_arrives_although_one_of_its_two_ways_is_lost",
        "api/test_second_factor.py::test_a_log_in_needs_the_password_and_a_code",
        "api/test_second_factor.py::test_a_challenge_takes_five_codes_and_no_more",
        "api/test_second_factor.py::test_many_log_ins_do_not_let_codes_be_guessed_and_a_recovery_code_still_works",
        "api/test_limits.py::test_guessing_a_password_ends_after_some_tries_also_for_an_unknown_account",
        "api/test_limits.py::test_guessing_from_many_addresses_ends_and_does_not_lock_the_owner_out",
        "api/test_limits.py::test_no_spelling_of_an_address_gives_more_tries",
        "api/test_limits.py::test_a_stolen_access_token_is_no_way_to_guess_the_password",
        "security/test_ways_in.py::test_an_application_gets_no_grant_by_the_password_alone_of_a_two_factor_account",
        "api/test_outside_log_in.py::test_an_outside_provider_opens_no_account_without_its_second_factor",
        "security/test_ways_in.py::test_ending_all_sessions_ends_all_grants_to_applications",
        "security/test_owasp.py::test_a_clients_page_does_not_reveal_accounts_by_its_answer_or_its_duration",
    ),
    "API3 Broken object property level authorization": (
        "security/test_owasp.py::test_a_body_cannot_set_fields_that_are_not_the_callers",
        "security/test_owasp.py::test_an_event_cannot_be_given_to_a_team_of_others",
        "api/test_identity.py::test_a_person_may_change_their_name_but_neither_roles_nor_address",
        "api/test_identity.py::test_contact_data_is_for_our_own_processes_only",
    ),
    "API4 Unrestricted resource consumption": (
        "api/test_limits.py::test_a_caller_beyond_the_limit_gets_retry_after_and_no_other_caller_does",
        "api/test_limits.py::test_callers_without_a_log_in_are_limited_by_their_address",
        "api/test_passwords.py::test_an_invalid_reset_token_costs_no_password_hash",
        "scenarios/test_timeline.py::test_a_user_listens_to_a_few_bookings_at_a_time",
        "api/test_bad_input.py::test_an_odd_body_is_refused",
        "api/test_bad_input.py::test_a_bad_token_request_is_refused",
        "scenarios/test_webhooks.py::test_a_body_that_is_too_large_is_refused",
    ),
    "API5 Broken function level authorization": (
        "security/test_permissions.py::test_every_route_declares_who_may_call_it",
        "security/test_permissions.py::test_a_route_admits_the_callers_that_it_declares_and_no_others",
        "security/test_permissions.py::test_a_third_party_token_works_for_its_scopes_only",
        "security/test_permissions.py::test_powerful_routes_are_for_few_roles",
        "security/test_revocation.py::test_a_withdrawn_role_is_in_no_token_and_the_person_stays_logged_in",
        "security/test_teams.py::test_a_person_joins_a_team_only_by_accepting",
        "api/test_oauth.py::test_an_application_of_a_staff_member_has_none_of_their_powers",
    ),
    "API6 Unrestricted access to sensitive business flows": (
        "api/test_limits.py::test_a_buyer_holds_only_a_few_bookings_of_an_event_also_by_simultaneous_calls",
        "api/test_limits.py::test_two_simultaneous_requests_with_one_key_make_one_hold_that_counts",
        "api/test_limits.py::test_a_buyer_who_holds_and_gives_up_again_and_again_has_to_wait",
        "scenarios/test_rush.py::test_of_two_hundred_concurrent_buyers_of_one_seat_one_wins",
    ),
    "API7 Server side request forgery": (
        "security/test_owasp.py::test_no_address_that_a_caller_names_is_ever_fetched",
        "security/test_owasp.py::test_no_body_has_a_field_for_an_address",
        "api/test_oauth.py::test_a_browser_is_never_redirected_to_an_unregistered_address",
        "api/test_outside_log_in.py::test_there_are_no_providers_but_those_in_the_settings",
    ),
    "API8 Security misconfiguration": (
        "api/test_bad_input.py::test_every_answer_has_security_headers",
        "api/test_boundaries.py::test_an_unexpected_error_is_a_500_that_reveals_nothing",
        "security/test_keys.py::test_outside_development_there_is_no_secret_by_default",
        "config/test_settings.py::test_a_blank_secret_is_refused",
        "api/test_edges.py::test_a_redirect_never_goes_to_a_host_that_the_caller_names",
        "security/test_keys.py::test_the_private_part_is_not_readable_at_rest",
    ),
    "API9 Improper inventory management": (
        "security/test_permissions.py::test_the_page_of_permissions_matches_the_application",
        "api/test_boundaries.py::test_a_process_serves_the_routes_of_its_services_only",
    ),
    "API10 Unsafe consumption of APIs": (
        "api/test_outside_log_in.py::test_an_address_that_the_provider_has_not_verified_is_refused",
        "api/test_outside_log_in.py::test_a_provider_that_breaks_the_protocol_is_a_503",
        "scenarios/test_webhooks.py::test_a_message_that_is_not_surely_the_providers_is_refused_and_does_nothing",
    ),
}
