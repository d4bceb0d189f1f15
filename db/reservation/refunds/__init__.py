"""Refunds of tickets, and refunds that the provider takes back."""
