"""Common parts of health checks and watchdog: small, standard library only."""

__version__ = "0.1.0"
