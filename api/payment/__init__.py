"""Webhooks of the payment providers: the payment service over HTTP."""
