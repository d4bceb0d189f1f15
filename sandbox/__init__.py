"""A payment service provider to develop and test against; it imports nothing of Seatwright's."""
