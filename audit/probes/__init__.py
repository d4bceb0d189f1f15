"""Readers that only the audit uses: Kafka from an offset, the seat keys in Redis, the sandbox's ledger."""
