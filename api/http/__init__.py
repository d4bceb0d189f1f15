"""What all routes share: problem details, request schemas, idempotency, deadlines, resources."""
