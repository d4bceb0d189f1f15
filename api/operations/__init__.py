"""Health checks, and the codec with which staff read payloads in the Temporal UI."""
