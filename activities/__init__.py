"""Each single effect that a workflow may ask for, idempotent: classes that receive their ports."""
