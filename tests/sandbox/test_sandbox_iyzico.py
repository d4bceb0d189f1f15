"""iyzico's API: effects and refusals of its calls; none is idempotent."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.testing import SandboxProcess
from tests.iyzico_buyer import APPROVED, NO_FUNDS, authenticate, open_page, pay_with
from tests.sandbox.iyzico_shop import ADDRESS, BUYER, CALLBACK, IyzicoShop

FINAL_CARD = "5406670000000009"
ITEM = {"id": "I1", "name": "Seat", "category1": "Tickets", "itemType": "VIRTUAL", "price": "50.00"}


@pytest.fixture
def shop(sandbox: SandboxProcess) -> IyzicoShop:
    return IyzicoShop(sandbox)


# Who calls


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "1001"),
        ({"Authorization": "IYZWSv2 !!!"}, "1001"),
        ({"Authorization": "Bearer sandbox-api-key"}, "1001"),
    ],
)
def test_a_call_without_credentials_is_refused(shop: IyzicoShop, headers: dict[str, str], code: str) -> None:
    answer = shop.send("POST", "/payment/detail", "{}", headers)
    assert (answer["status"], answer["errorCode"]) == ("failure", code)


def test_a_call_of_an_unknown_merchant_or_with_another_s_secret_is_refused(shop: IyzicoShop) -> None:
    assert shop.call("POST", "/payment/detail", "{}", key="sandbox-nobody")["errorCode"] == "1001"
    assert shop.call("POST", "/payment/detail", "{}", secret="guessed")["errorCode"] == "1000"


def test_a_signature_is_of_the_path_and_the_body_but_not_of_the_query(shop: IyzicoShop) -> None:
    body = '{"paymentId": "1"}'
    assert shop.call("POST", "/payment/detail", body, query="?x=1")["errorCode"] == "5087"
    assert shop.call("POST", "/payment/detail", body, sent=body.replace("1", "2"))["errorCode"] == "1000"


# What a form wants to know


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"basketItems": [{**ITEM, "price": "49.99"}]}, "5062"),
        ({"price": "0"}, "11"),
        ({"price": "50.001"}, "11"),
        ({"paidPrice": "fifty"}, "11"),
        ({"currency": "CHF"}, "11"),
        ({"currency": None}, "11"),
        ({"callbackUrl": "not a url"}, "23"),
        ({"buyer": {**BUYER, "identityNumber": ""}}, "11"),
        ({"buyer": {**BUYER, "nickname": "x"}}, "11"),
        ({"billingAddress": {"city": "Istanbul"}}, "11"),
        ({"basketItems": []}, "11"),
        ({"basketItems": [ITEM, ITEM]}, "5062"),
        ({"basketItems": [{**ITEM, "itemType": "PHYSICAL"}]}, "11"),
        ({"unknownField": 1}, "11"),
        ({"conversationId": "x" * 256}, "20"),
    ],
)
def test_a_form_that_is_asked_for_wrongly_is_refused_and_makes_nothing(
    shop: IyzicoShop, change: dict[str, Any], code: str
) -> None:
    answer = shop.initialize(**change)
    assert (answer["status"], answer["errorCode"]) == ("failure", code)
    assert shop.sandbox.intents(shop.booking_id) == []


def test_a_new_form_returns_its_token_and_page_and_moves_no_money(shop: IyzicoShop) -> None:
    form = shop.initialize(shippingAddress=ADDRESS)
    assert (form["status"], form["conversationId"]) == ("success", f"{shop.booking_id}:create:1")
    assert form["token"] in form["paymentPageUrl"]
    assert shop.form(form["token"])["status"] == "failure"
    assert set(shop.money().values()) == {0}


def test_the_same_form_asked_for_twice_is_two_forms(shop: IyzicoShop) -> None:
    assert shop.initialize()["token"] != shop.initialize()["token"]
    assert len(shop.sandbox.intents(shop.booking_id)) == 2


# The buyer pays


def test_a_buyer_who_pays_returns_to_the_merchant_with_the_token(shop: IyzicoShop) -> None:
    form = shop.initialize()
    page = pay_with(form["paymentPageUrl"], "5528790000000008")
    assert (page.back_to, page.token) == (CALLBACK, form["token"])
    paid = shop.form(form["token"])
    assert (paid["paymentStatus"], paid["phase"], paid["paidPrice"], paid["fraudStatus"]) == (
        "SUCCESS",
        "PRE_AUTH",
        50,
        1,
    )
    assert (paid["basketId"], paid["lastFourDigits"]) == (shop.booking_id, "0008")
    assert shop.money() == {"authorized": 5000, "captured": 0, "released": 0, "refunded": 0, "held": 5000}


def test_a_declined_card_is_shown_on_the_page_and_another_may_be_tried(shop: IyzicoShop) -> None:
    form = shop.initialize()
    page = pay_with(form["paymentPageUrl"], NO_FUNDS)
    assert page.back_to is None
    assert "insufficient" in str(page.alert).lower()
    refused = shop.form(form["token"])
    assert (refused["paymentStatus"], refused["errorCode"], refused["errorGroup"]) == (
        "FAILURE",
        "10051",
        "NOT_SUFFICIENT_FUNDS",
    )
    assert "mdStatus" not in refused

    assert pay_with(form["paymentPageUrl"], "5528790000000008").back_to == CALLBACK
    assert shop.form(form["token"])["paymentStatus"] == "SUCCESS"
    assert shop.money()["held"] == 5000


@pytest.mark.parametrize("approve", [True, False])
def test_after_three_d_secure_the_buyer_returns_to_the_merchant(shop: IyzicoShop, approve: bool) -> None:
    form = shop.initialize()
    page = pay_with(form["paymentPageUrl"], "5528790000000008", with_3ds=True)
    assert (page.back_to, page.title) == (None, "Approve this payment?")
    assert shop.form(form["token"])["paymentStatus"] == "INIT_THREEDS"

    assert authenticate(form["paymentPageUrl"], approve=approve).back_to == CALLBACK

    after = shop.form(form["token"])
    assert (after["paymentStatus"], after["mdStatus"]) == (("SUCCESS", 1) if approve else ("FAILURE", 0))
    assert shop.money()["held"] == (5000 if approve else 0)


@pytest.mark.parametrize(
    ("card", "md_status"), [("4131111111111117", 0), ("4141111111111115", 4), ("4151111111111112", 0), (NO_FUNDS, 1)]
)
def test_cards_can_fail_three_d_secure_or_after_it(shop: IyzicoShop, card: str, md_status: int) -> None:
    form = shop.initialize(forceThreeDS=1)
    page = pay_with(form["paymentPageUrl"], card)
    if card != "4151111111111112":
        page = authenticate(form["paymentPageUrl"], approve=True)
    assert page.back_to == CALLBACK
    refused = shop.form(form["token"])
    assert (refused["paymentStatus"], refused["mdStatus"]) == ("FAILURE", md_status)


def test_paying_a_form_twice_charges_once(shop: IyzicoShop) -> None:
    form = shop.initialize()
    for _ in range(2):
        assert pay_with(form["paymentPageUrl"], "5528790000000008").back_to == CALLBACK
    assert shop.money()["authorized"] == 5000


def test_a_link_to_no_form_leads_nowhere(shop: IyzicoShop) -> None:
    assert open_page(f"{shop.sandbox.url}/iyzico/checkout?token=nothing").status == 404
    assert pay_with(f"{shop.sandbox.url}/iyzico/checkout?token=nothing", NO_FUNDS).status == 404


# Afterwards


def test_an_authorization_can_be_captured_once(shop: IyzicoShop) -> None:
    payment_id = shop.held()["paymentId"]
    taken = shop.postauth(payment_id, currency="TRY")
    assert (taken["status"], taken["phase"], taken["paidPrice"]) == ("success", "POST_AUTH", 50)
    assert shop.postauth(payment_id)["errorCode"] == "5082"
    assert shop.money()["captured"] == 5000


def test_a_capture_without_a_currency_is_in_lira(shop: IyzicoShop) -> None:
    form = shop.initialize(currency="EUR")
    pay_with(form["paymentPageUrl"], APPROVED)
    payment_id = shop.form(form["token"])["paymentId"]
    assert shop.postauth(payment_id)["errorCode"] == "11"
    assert shop.postauth(payment_id, currency="EUR")["status"] == "success"


def test_a_part_can_be_captured_and_the_rest_is_released(shop: IyzicoShop) -> None:
    payment_id = shop.held()["paymentId"]
    assert shop.postauth(payment_id, paidPrice="50.01")["errorCode"] == "11"
    assert shop.postauth(payment_id, currency="EUR")["errorCode"] == "11"
    assert shop.postauth(payment_id, paidPrice="20.00")["paidPrice"] == 20
    assert shop.money() == {"authorized": 5000, "captured": 2000, "released": 3000, "refunded": 0, "held": 0}


def test_a_cancel_voids_the_hold_and_a_second_one_is_refused(shop: IyzicoShop) -> None:
    payment_id = shop.held()["paymentId"]
    assert shop.cancel(payment_id)["status"] == "success"
    assert shop.cancel(payment_id)["errorCode"] == "8514"
    assert shop.postauth(payment_id)["errorCode"] == "5082"
    assert (shop.report(payment_id)["phase"], len(shop.report(payment_id)["cancels"])) == ("PRE_AUTH", 1)
    assert shop.money()["held"] == 0


def test_a_cancel_on_the_day_of_the_payment_refunds_all_of_it(shop: IyzicoShop) -> None:
    payment_id = shop.taken()
    assert shop.cancel(payment_id)["price"] == 50
    assert shop.cancel(payment_id)["errorCode"] == "8514"
    assert shop.money()["refunded"] == 5000


def test_the_same_refund_asked_for_twice_is_made_twice(shop: IyzicoShop) -> None:
    payment_id = shop.taken()
    for _ in range(2):
        assert shop.refund(payment_id, "20.00")["status"] == "success"
    assert shop.money()["refunded"] == 4000
    assert shop.refund(payment_id, "20.00")["errorCode"] == "11"
    report = shop.report(payment_id)
    assert report["paymentRefundStatus"] == "PARTIALLY_REFUNDED"
    refunds = report["itemTransactions"][0]["refunds"]
    assert [(each["refundPrice"], each["refundConversationId"]) for each in refunds] == [(20, "refund")] * 2
    assert shop.refund(payment_id, "10.00")["status"] == "success"
    assert shop.refund(payment_id, "0.01")["errorCode"] == "8514"


def test_a_basket_item_s_transaction_can_be_refunded(shop: IyzicoShop) -> None:
    paid = shop.held()
    shop.postauth(paid["paymentId"])
    transaction = paid["itemTransactions"][0]["paymentTransactionId"]
    answer = shop.post("/payment/refund", {"paymentTransactionId": transaction, "price": "5"})
    assert (answer["status"], answer["paymentId"], answer["price"]) == ("success", paid["paymentId"], 5)
    assert shop.money()["refunded"] == 500


def test_a_hold_cannot_be_refunded(shop: IyzicoShop) -> None:
    assert shop.refund(shop.held()["paymentId"], "50.00")["status"] == "failure"
    assert shop.money()["held"] == 5000


def test_a_card_can_leave_its_payment_as_it_is(shop: IyzicoShop) -> None:
    payment_id = shop.held(card=FINAL_CARD)["paymentId"]
    for answer in (shop.postauth(payment_id), shop.cancel(payment_id)):
        assert answer["errorGroup"] == "INVALID_TRANSACTION"


def test_a_payment_is_found_by_its_id_and_by_its_conversation(shop: IyzicoShop) -> None:
    payment_id = shop.taken()
    by_conversation = {"paymentConversationId": f"{shop.booking_id}:create:1"}
    for wanted in ({"paymentId": payment_id}, by_conversation):
        found = shop.post("/payment/detail", wanted)
        assert (found["paymentId"], found["phase"], found["paidPrice"]) == (payment_id, "POST_AUTH", 50)
    assert shop.post("/payment/detail", {"paymentId": "1"})["errorCode"] == "5087"
    assert shop.post("/payment/detail", {})["errorCode"] == "11"
    assert shop.postauth("1")["errorCode"] == "5087"


def test_an_expired_hold_cannot_be_captured(shop: IyzicoShop) -> None:
    paid = shop.held()
    shop.sandbox.call("POST", f"/_sandbox/intents/{paid['token']}/expire")
    assert shop.postauth(paid["paymentId"])["errorCode"] == "5082"
    assert len(shop.report(paid["paymentId"])["cancels"]) == 1


# Faults, by the same control API as Stripe's


@pytest.mark.parametrize("kind", ["500_before", "500_saved", "500_after"])
def test_a_server_error_may_occur_before_or_after_the_effect(shop: IyzicoShop, kind: str) -> None:
    payment_id = shop.held()["paymentId"]
    shop.sandbox.fault(kind, shop.booking_id, face="iyzico", operation="capture")
    assert shop.postauth(payment_id) == {"http": 500}
    assert shop.money()["captured"] == (5000 if kind == "500_after" else 0)


def test_a_caller_over_the_limit_gets_iyzicos_error_for_it(shop: IyzicoShop) -> None:
    """docs.iyzico.com, page "Limiters"."""
    payment_id = shop.held()["paymentId"]
    shop.sandbox.fault("429", shop.booking_id, face="iyzico", operation="capture")
    told = shop.postauth(payment_id)
    assert {name: told[name] for name in ("status", "errorCode", "errorMessage")} == {
        "status": "failure", "errorCode": 50000, "errorMessage": "Request Limit Exceeded",
    }  # fmt: skip
    assert shop.money()["captured"] == 0


@pytest.mark.parametrize("kind", ["reset_before", "reset_after"])
def test_an_answer_may_be_lost_before_or_after_the_effect(shop: IyzicoShop, kind: str) -> None:
    payment_id = shop.held()["paymentId"]
    shop.sandbox.fault(kind, shop.booking_id, face="iyzico", operation="capture")
    with pytest.raises(OSError, match=r"Remote end closed|Connection reset"):
        shop.postauth(payment_id)
    assert shop.money()["captured"] == (5000 if kind == "reset_after" else 0)


def test_a_bank_may_refuse_the_capture_or_the_buyer_on_demand(shop: IyzicoShop) -> None:
    shop.sandbox.fault("decline", shop.booking_id, face="iyzico", operation="confirm", code="LOST_CARD")
    form = shop.initialize()
    assert "Lost card" in str(pay_with(form["paymentPageUrl"], "5528790000000008").alert)
    pay_with(form["paymentPageUrl"], "5528790000000008")
    payment_id = shop.form(form["token"])["paymentId"]
    shop.sandbox.fault("decline", shop.booking_id, face="iyzico", operation="capture")
    assert shop.postauth(payment_id)["errorGroup"] == "DO_NOT_HONOUR"
    assert shop.money()["held"] == 5000


def test_a_bank_may_refuse_a_refund_on_demand(shop: IyzicoShop) -> None:
    payment_id = shop.taken()
    shop.sandbox.fault("decline", shop.booking_id, face="iyzico", operation="refund")
    assert shop.refund(payment_id, "50.00")["errorGroup"] == "DO_NOT_HONOUR"
    assert shop.refund(payment_id, "50.00")["status"] == "success"


def test_a_payment_may_wait_for_iyzico_s_review(shop: IyzicoShop) -> None:
    shop.sandbox.fault("processing", shop.booking_id, face="iyzico", operation="confirm")
    paid = shop.held()
    assert (paid["paymentStatus"], paid["fraudStatus"]) == ("SUCCESS", 0)
    shop.sandbox.call("POST", f"/_sandbox/intents/{paid['token']}/settle", {"outcome": "approved"})
    assert shop.form(paid["token"])["fraudStatus"] == 1
    assert shop.money()["held"] == 5000


def test_the_log_and_the_ledger_know_iyzico_s_calls_by_booking(shop: IyzicoShop) -> None:
    shop.taken()
    kinds = [entry["kind"] for entry in shop.sandbox.ledger(shop.booking_id)["entries"]]
    assert kinds == ["hold", "capture"]
    for operation in ("create", "confirm", "capture"):
        assert [call["status"] for call in shop.sandbox.requests(shop.booking_id, operation)] == [200]
