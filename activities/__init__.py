"""The effects that workflows order, each idempotent: classes that receive their ports."""
