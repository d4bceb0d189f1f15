"""Calls between our own services over HTTP."""
