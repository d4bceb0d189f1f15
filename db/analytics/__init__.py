"""The analytics service's database: what was sold, counted once however often it is told."""
