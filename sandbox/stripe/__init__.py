"""The sandbox's Stripe face: what Stripe documents about payment intents, refunds, errors and idempotency."""
