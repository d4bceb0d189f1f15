"""A payment service provider for development and tests; it imports no other package of Seatwright."""
