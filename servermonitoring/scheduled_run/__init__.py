"""One run of the suite for cron or systemd, watched by a command that needs nothing of what the suite needs."""
