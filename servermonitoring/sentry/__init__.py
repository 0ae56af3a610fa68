"""Sentry client of suite and watchdog."""
