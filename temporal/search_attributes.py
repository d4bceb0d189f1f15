"""The search attributes by which Temporal's UI finds a saga. Never encrypted, so never personal data."""

from temporalio.common import SearchAttributeKey

STATUS = SearchAttributeKey.for_keyword("SeatwrightStatus")
EVENT = SearchAttributeKey.for_keyword("SeatwrightEvent")
BOOKING = SearchAttributeKey.for_keyword("SeatwrightBooking")
