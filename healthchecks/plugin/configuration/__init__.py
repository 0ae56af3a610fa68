"""The configuration of a run: read, checked, and explained where it is wrong."""
