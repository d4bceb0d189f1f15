"""What must happen, durably: one file for each saga, deterministic and without I/O."""
