"""The OAuth 2 authorization server for other people's applications."""
