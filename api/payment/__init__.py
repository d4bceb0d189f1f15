"""Webhooks, the list of providers, support's search for payments: the payment service over HTTP."""
