"""What only the audit reads: Kafka from an offset on, seat keys in Redis, the sandbox's ledger."""
