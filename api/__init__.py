"""The REST front: routers by service, authentication, problem details."""
