"""The catalogue service's steps of a publication."""
