"""The task queues: one for each service, so that each can run on machines of its own."""

from typing import Final

CATALOGUE: Final = "catalogue"
RESERVATION: Final = "reservation"
PAYMENT: Final = "payment"
