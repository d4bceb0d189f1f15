"""Bookings, refunds, exchanges and inventory: the reservation service over HTTP."""
