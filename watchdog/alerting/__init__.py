"""Alerts of the watchdog, through Sentry."""
