"""Settings and logging: what differs between machines."""
