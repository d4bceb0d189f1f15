"""Benchmarks: the cost of a booking and the sustained rate, measured on real servers beside simpler baselines."""
