"""The buyer's path through 3-D Secure and back to the merchant."""

from __future__ import annotations

from contextlib import closing
from http.client import HTTPConnection, HTTPResponse
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import stripe

from tests.sandbox.shop import Shop

RETURN_URL = "https://shop.example.test/return?booking=1"
APPROVED, FAILED = {"outcome": "approve"}, {"outcome": "fail"}


def challenged(shop: Shop, method: str = "pm_card_threeDSecure2Required") -> tuple[str, str]:
    """An intent that waits for the buyer, and the page that it sends the buyer to."""
    intent = shop.open(payment_method=method, confirm=True, return_url=RETURN_URL)
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    return intent.id, str(intent.next_action.redirect_to_url.url)


def visit(url: str, form: dict[str, str] | None = None) -> tuple[HTTPResponse, str]:
    """Submit a form like a browser without JavaScript, without following redirects."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port, timeout=60)
    body = urlencode(form) if form else None
    headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
    with closing(connection):
        connection.request("POST" if form else "GET", parts.path, body, headers)
        response = connection.getresponse()
        return response, response.read().decode()


@pytest.mark.parametrize("method", ["pm_card_threeDSecure2Required", "pm_card_authenticationRequired"])
def test_nothing_is_reserved_until_the_buyer_approves(shop: Shop, method: str) -> None:
    intent_id, url = challenged(shop, method)
    assert shop.money()["authorized"] == 0
    response, _ = visit(url, APPROVED)
    back = urlsplit(response.headers["Location"])
    assert (response.status, back.netloc) == (303, "shop.example.test")
    query = parse_qs(back.query)
    assert (query["booking"], query["payment_intent"], query["redirect_status"]) == (["1"], [intent_id], ["succeeded"])
    assert shop.status(intent_id) == "requires_capture"
    assert shop.money()["held"] == 5000


def test_a_failed_authentication_leaves_the_intent_open_for_another_card(shop: Shop) -> None:
    intent_id, url = challenged(shop)
    response, _ = visit(url, FAILED)
    assert "redirect_status=failed" in response.headers["Location"]
    after = shop.api.payment_intents.retrieve(intent_id)
    assert after.last_payment_error is not None
    assert (after.status, after.last_payment_error.code) == (
        "requires_payment_method",
        "payment_intent_authentication_failure",
    )
    assert shop.confirm(intent_id).status == "requires_capture"


def test_a_card_may_be_declined_after_a_passed_authentication(shop: Shop) -> None:
    intent_id, url = challenged(shop, "pm_card_threeDSecureRequiredChargeDeclined")
    visit(url, APPROVED)
    assert shop.status(intent_id) == "requires_payment_method"
    assert shop.money()["authorized"] == 0


def test_the_page_shows_both_choices_and_nothing_once_decided(shop: Shop) -> None:
    _, url = challenged(shop)
    response, page = visit(url)
    assert response.status == 200
    assert 'value="approve"' in page
    assert 'value="fail"' in page
    visit(url, APPROVED)
    assert "<button" not in visit(url)[1]


def test_a_second_click_changes_nothing(shop: Shop) -> None:
    intent_id, url = challenged(shop)
    first, second = visit(url, APPROVED)[0], visit(url, FAILED)[0]
    assert first.headers["Location"] == second.headers["Location"]
    assert shop.status(intent_id) == "requires_capture"
    assert shop.money()["authorized"] == 5000


def test_a_cancelled_payment_cannot_be_approved_any_more(shop: Shop) -> None:
    intent_id, url = challenged(shop)
    shop.api.payment_intents.cancel(intent_id)
    visit(url, APPROVED)
    assert shop.status(intent_id) == "canceled"
    assert shop.money()["authorized"] == 0


def test_the_page_of_an_abandoned_challenge_is_dead(shop: Shop) -> None:
    intent_id, abandoned = challenged(shop)
    shop.confirm(intent_id, "pm_card_threeDSecure2Required")
    assert visit(abandoned, APPROVED)[0].status == 404
    assert shop.status(intent_id) == "requires_action"


def test_another_card_may_be_used_instead_of_authenticating(shop: Shop) -> None:
    intent_id, url = challenged(shop)
    assert shop.confirm(intent_id).status == "requires_capture"
    visit(url, FAILED)
    assert shop.status(intent_id) == "requires_capture"


def test_an_intent_that_waits_for_the_buyer_cannot_be_captured(shop: Shop) -> None:
    intent_id, _ = challenged(shop)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        shop.capture(intent_id)
    assert refused.value.code == "payment_intent_unexpected_state"
