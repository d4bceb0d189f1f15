"""Seats, quotas and revocations in Redis; each decision of several keys is one Lua script."""
