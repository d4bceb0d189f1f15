"""The sandbox's Stripe API: what Stripe documents about payment intents, refunds, errors and idempotency."""
