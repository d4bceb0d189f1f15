"""How we speak to Temporal: connection, task queues, retry policies, search attributes, and the saga."""
