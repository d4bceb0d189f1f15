"""The processes beside the API: Temporal workers, outbox relay, Kafka consumers."""
