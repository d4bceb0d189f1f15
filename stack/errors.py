"""The errors of the launcher: their text is what the person at the terminal reads."""


class StackError(Exception):
    """Something that the user can do something about; the message says what."""


class Cancelled(StackError):
    """Given up because something else failed; the user should see that error instead."""
