"""Loops that find and repair leftovers: lost workflows, late payments, updates that Redis missed."""
