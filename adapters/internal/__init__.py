"""HTTP to Seatwright's own services, through one client with one policy."""
