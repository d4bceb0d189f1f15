"""Postgres: one package per service that owns a database, with its tables, statements and migrations."""
