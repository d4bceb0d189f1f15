"""iyzico."""
