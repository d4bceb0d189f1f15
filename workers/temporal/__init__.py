"""The Temporal workers: which workflows and activities run where, and the schedules."""
