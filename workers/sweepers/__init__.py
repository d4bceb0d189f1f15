"""Loops that find what was left behind: lost workflows, late payments, updates that Redis missed."""
