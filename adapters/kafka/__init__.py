"""Kafka: producer and consumer, and domain events as CloudEvents."""
