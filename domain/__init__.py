"""What the business means, without I/O: every other room speaks in these terms."""
