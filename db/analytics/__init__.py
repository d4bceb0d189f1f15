"""The analytics service's database: what was sold, counted once however often a domain event arrives."""
