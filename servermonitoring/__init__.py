"""The common ground of health checks and watchdog: small, and standard library only."""

__version__ = "0.1.0"
