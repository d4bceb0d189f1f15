"""How each server of others is installed on a machine without Docker, and how its data is laid out."""
