"""Catches mail for development and tests: takes it by SMTP, keeps it, and shows it by Mailpit's REST API and a page."""
