"""Where each item of the OWASP API Security Top 10 (2023) is shown, by the names of tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SHOWN: Final[Mapping[str, Sequence[str]]] = {
    "API1 Broken object level authorization": (
        "security/test_owners.py::test_every_route_that_names_an_object_is_in_the_table",
        "security/test_owners.py::test_an_object_is_there_for_its_owner_and_for_staff_and_for_nobody_else",
        "security/test_owners.py::test_another_s_object_is_answered_like_one_that_there_is_not",
        "security/test_teams.py::test_staff_of_a_team_sees_its_drafts_and_sales_and_changes_nothing",
    ),
    "API2 Broken authentication": (
        "security/test_tokens.py::test_a_forged_or_stale_token_is_refused",
        "security/test_tokens.py::test_the_same_tokens_are_good_where_nothing_is_wrong_with_them",
        "security/test_revocation.py::test_an_ended_session_ends_its_access_tokens",
        "security/test_revocation.py::test_a_stolen_refresh_token_ends_the_session_s_access_tokens_in_every_process",
        "security/test_keys.py::test_a_new_key_is_published_first_and_takes_over_without_losing_a_token",
        "api/test_oauth.py::test_a_refresh_token_used_twice_ends_the_grant_and_its_access_tokens_within_seconds",
        "api/test_oauth.py::test_a_second_use_of_a_code_ends_all_that_came_of_the_first",
        "api/test_oauth.py::test_a_code_is_good_with_its_verifier_its_address_and_its_client_only",
        "api/test_outside_log_in.py::test_only_the_browser_that_left_may_come_back_and_only_with_its_own_state",
        "api/test_identity.py::test_a_wrong_password_and_an_unknown_address_get_the_same_answer_after_like_times",
        "api/test_second_factor.py::test_a_log_in_needs_the_password_and_a_code",
        "api/test_second_factor.py::test_a_challenge_takes_five_codes_and_no_more",
        "security/test_ways_in.py::test_an_application_gets_nothing_by_the_password_alone_of_who_has_a_second_factor",
        "api/test_outside_log_in.py::test_an_outside_provider_opens_no_account_that_has_a_second_factor_without_its_code",
        "security/test_ways_in.py::test_what_ends_all_log_ins_ends_what_was_granted_to_applications",
        "security/test_owasp.py::test_who_has_an_account_cannot_be_told_from_a_client_s_page_by_its_answer_or_its_time",
    ),
    "API3 Broken object property level authorization": (
        "security/test_owasp.py::test_nobody_sets_what_is_not_theirs_to_set",
        "security/test_owasp.py::test_an_event_cannot_be_given_to_a_team_of_others",
        "api/test_identity.py::test_a_person_may_change_their_name_but_neither_roles_nor_address",
        "api/test_identity.py::test_contact_data_is_for_our_own_processes_only",
    ),
    "API4 Unrestricted resource consumption": (
        "api/test_bad_input.py::test_an_odd_body_is_refused",
        "api/test_bad_input.py::test_a_bad_token_request_is_refused",
        "scenarios/test_webhooks.py::test_a_body_that_is_too_large_is_refused",
    ),
    "API5 Broken function level authorization": (
        "security/test_permissions.py::test_every_route_declares_who_may_call_it",
        "security/test_permissions.py::test_a_route_lets_in_whom_it_declares_and_nobody_else",
        "security/test_permissions.py::test_a_token_of_others_is_good_for_its_scopes_only",
        "security/test_permissions.py::test_what_is_powerful_is_for_few",
        "security/test_revocation.py::test_who_loses_a_role_has_it_in_no_token_any_more_and_stays_logged_in",
    ),
    "API6 Unrestricted access to sensitive business flows": (
        "scenarios/test_rush.py::test_two_hundred_buyers_at_once_for_one_seat_have_one_winner",
    ),
    "API7 Server side request forgery": (
        "security/test_owasp.py::test_no_address_that_a_caller_names_is_ever_fetched",
        "security/test_owasp.py::test_no_body_has_a_field_for_an_address",
        "api/test_oauth.py::test_nobody_is_sent_to_an_address_that_is_not_registered",
        "api/test_outside_log_in.py::test_there_are_no_providers_but_those_in_the_settings",
    ),
    "API8 Security misconfiguration": (
        "api/test_bad_input.py::test_every_answer_has_security_headers",
        "api/test_boundaries.py::test_an_unexpected_error_is_a_500_that_tells_nothing",
        "security/test_keys.py::test_outside_development_there_is_no_secret_by_default",
        "security/test_keys.py::test_the_private_part_is_not_readable_at_rest",
    ),
    "API9 Improper inventory management": (
        "security/test_permissions.py::test_the_table_that_reviewers_read_is_the_application_s",
        "api/test_boundaries.py::test_a_process_serves_the_routes_of_its_services_only",
    ),
    "API10 Unsafe consumption of APIs": (
        "api/test_outside_log_in.py::test_an_address_that_the_provider_has_not_verified_is_worth_nothing",
        "api/test_outside_log_in.py::test_a_provider_that_does_not_answer_is_a_503",
        "scenarios/test_webhooks.py::test_a_message_that_is_not_surely_the_providers_is_refused_and_does_nothing",
    ),
}
"""Limits on live holds and on log-ins (API4, API6) are the business of the limits, which add their tests here."""
