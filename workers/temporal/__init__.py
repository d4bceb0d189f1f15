"""The Temporal workers: which workflows and activities run where, and what runs by the clock."""
