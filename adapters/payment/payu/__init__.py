"""PayU."""
