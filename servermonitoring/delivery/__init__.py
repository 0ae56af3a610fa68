"""Delivery to Sentry and webhooks through a spool on the disk."""
