"""One command a file: what a request does, from its check to its answer. Commands do not import routes."""
