"""Sentry as suite and watchdog use it."""
