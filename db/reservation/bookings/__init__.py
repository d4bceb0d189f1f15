"""Bookings: their claims, state changes, requests and history."""
