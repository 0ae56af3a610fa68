"""Scheduled command for cron and systemd: supervises one run without the packages that the suite needs."""
