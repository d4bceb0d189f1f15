"""The outside world: each server, provider or protocol has its adapter."""
