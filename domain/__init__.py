"""The terms of the business, without I/O; every other package uses them."""
