"""Probes: each in a thread of its own, under its timeout."""
