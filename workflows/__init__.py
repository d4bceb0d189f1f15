"""What must happen, durably: one workflow per story, deterministic, without I/O."""
