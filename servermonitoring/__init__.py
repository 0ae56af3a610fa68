"""The common ground of health checks and watchdog: small, and standard library only."""
