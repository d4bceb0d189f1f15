"""The catalogue service's database: what an event is."""
