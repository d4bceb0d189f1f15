"""`python -m cli`."""

from cli import app

app(prog_name="seatwright")
