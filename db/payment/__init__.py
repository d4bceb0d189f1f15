"""The payment service's database: every attempt to take money, and what became of it."""
