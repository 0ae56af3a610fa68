"""Delivery to Sentry and webhooks through a spool on the disk."""

SECONDS_AT_END = 5.0  # for which delivery may hold up the end of a run, or of the watchdog
