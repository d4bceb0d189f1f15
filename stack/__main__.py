"""`python -m stack`."""

from stack.commands import app

if __name__ == "__main__":
    app(prog_name="python -m stack")
