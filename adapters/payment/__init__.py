"""The payment providers, a package each, and the limit of calls that all workers share."""
