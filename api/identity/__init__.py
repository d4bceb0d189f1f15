"""Accounts, log-in, sessions, OAuth, teams: the identity service over HTTP."""
