"""Parses and validates iyzico's requests; unknown fields are refused, so that a mistake is noticed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.iyzico.amounts import currency, minor_units
from sandbox.iyzico.errors import ApiError, invalid, wrong_sum

Json = dict[str, Any]

EVERY_CALL = frozenset({"locale", "conversationId"})
BUYER = frozenset({"id", "name", "surname", "identityNumber", "email", "registrationAddress", "city", "country", "ip"})
BUYER_MAY = frozenset({"gsmNumber", "zipCode", "lastLoginDate", "registrationDate"})
ADDRESS = frozenset({"contactName", "city", "country", "address"})
ITEM = frozenset({"id", "name", "category1", "itemType", "price"})
FORM = frozenset({"price", "paidPrice", "currency", "callbackUrl", "buyer", "billingAddress", "basketItems"})
FORM_MAY = frozenset({"basketId", "paymentGroup", "shippingAddress", "enabledInstallments", "forceThreeDS"})
ITEM_TYPES, PAYMENT_GROUPS, INSTALLMENTS = {"PHYSICAL", "VIRTUAL"}, {"PRODUCT", "LISTING"}, {1, 2, 3, 6, 9, 12}
LONGEST_CONVERSATION_ID = 255


@dataclass(frozen=True)
class Form:
    """The request for a checkout form; amounts in minor units."""

    price: int
    paid_price: int
    currency: str
    callback_url: str
    basket_id: str | None
    must_authenticate: bool


def form(given: Json) -> Form:
    """Raises: ApiError: A field is missing, unknown or malformed, or the basket's sum is wrong."""
    fields(given, "request", FORM, EVERY_CALL | FORM_MAY)
    fields(_object(given, "buyer"), "buyer", BUYER, BUYER_MAY)
    fields(_object(given, "billingAddress"), "billingAddress", ADDRESS, {"zipCode"})
    if "shippingAddress" in given:
        fields(_object(given, "shippingAddress"), "shippingAddress", ADDRESS, {"zipCode"})
    _check_choices(given)
    price = minor_units("price", given["price"])
    _check_basket(given, price)
    return Form(
        price,
        minor_units("paidPrice", given["paidPrice"]),
        currency(given["currency"]),
        _url(given["callbackUrl"]),
        given.get("basketId"),
        bool(given.get("forceThreeDS")),
    )


def fields(given: Json, name: str, required: frozenset[str], optional: frozenset[str] | set[str]) -> None:
    """Raises: ApiError: A field is missing, empty or unknown."""
    for field in sorted(required):
        if given.get(field) in (None, "", []):
            raise invalid(f"{field} of {name} is mandatory")
    for field in sorted(given.keys() - required - optional):
        raise invalid(f"{field} of {name} is not known")


def conversation_id(given: Json) -> str | None:
    """Raises: ApiError: It is not text, or too long."""
    value = given.get("conversationId")
    if value is not None and not isinstance(value, str):
        raise invalid("conversationId must be a string")
    if value is not None and len(value) > LONGEST_CONVERSATION_ID:
        raise ApiError("20", f"ConversationId must be at most {LONGEST_CONVERSATION_ID} characters")
    return value


def _check_choices(given: Json) -> None:
    if given.get("paymentGroup", "PRODUCT") not in PAYMENT_GROUPS:
        raise invalid("paymentGroup must be PRODUCT or LISTING")
    installments = given.get("enabledInstallments", [1])
    if not isinstance(installments, list) or not set(installments) <= INSTALLMENTS:
        raise invalid("enabledInstallments must be a list of 1, 2, 3, 6, 9, 12")


def _check_basket(given: Json, price: int) -> None:
    items = given["basketItems"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid("basketItems must be a list of objects")
    for item in items:
        fields(item, "basketItems", ITEM, {"category2"})
        if item["itemType"] not in ITEM_TYPES:
            raise invalid("itemType must be PHYSICAL or VIRTUAL")
        if item["itemType"] == "PHYSICAL" and "shippingAddress" not in given:
            raise invalid("shippingAddress is mandatory for what is PHYSICAL")
    if sum(minor_units("price of basketItems", item["price"]) for item in items) != price:
        raise wrong_sum()


def _object(given: Json, name: str) -> Json:
    value = given[name]
    if not isinstance(value, dict):
        raise invalid(f"{name} must be an object")
    return value


def _url(value: Any) -> str:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError("23", "Callback URL is mandatory")
    return str(value)
