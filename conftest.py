"""Wires the plugin into a checkout; an installed copy is found by its entry point of the same name."""

pytest_plugins = ["healthchecks.plugin"]
