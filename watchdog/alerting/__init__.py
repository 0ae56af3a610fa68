"""AlertHandler of the watchdog, through Sentry."""
