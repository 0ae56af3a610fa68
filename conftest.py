"""Registers the plugins of a checkout; an installed copy is found by entry points of the same names."""

pytest_plugins = ["healthchecks.plugin", "healthchecks.sql_reports.hooks"]
