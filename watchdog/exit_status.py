"""Exit statuses of the `watchdog` command."""

OK, NOT_DONE, WRONG_CONFIGURATION, ALREADY_RUNNING = 0, 1, 4, 6
