"""Exchanges of one ticket's seat for another: plans, steps and history."""
