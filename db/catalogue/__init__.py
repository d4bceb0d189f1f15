"""The catalogue service's database: events with their sections and prices."""
