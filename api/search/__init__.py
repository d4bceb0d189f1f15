"""Search over published events: the search service over HTTP."""
