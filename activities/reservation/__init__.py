"""The reservation service's steps: bookings, refunds, exchanges, inventory, event cancellations."""
