"""The search attributes by which Temporal's UI finds a saga. Never encrypted, so never personal data."""

from temporalio.common import SearchAttributeKey

STATUS = SearchAttributeKey.for_keyword("SeatwrightStatus")
"""A booking's status, or `REFUSED`."""

REFUSED = "refused"
"""Of a saga that has refused its request: it has completed, and has changed nothing."""

EVENT = SearchAttributeKey.for_keyword("SeatwrightEvent")
BOOKING = SearchAttributeKey.for_keyword("SeatwrightBooking")
