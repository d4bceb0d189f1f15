"""The invariants: what must be true of seats and money, whatever has happened."""
